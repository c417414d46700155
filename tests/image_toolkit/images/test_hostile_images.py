"""Malicious images: each is soon decoded or rejected, in bounded memory."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from image_toolkit.images import decoding
from image_toolkit.images.colour_profiles import is_srgb
from image_toolkit.images.decoder_pool import DecoderPool
from image_toolkit.images.decoding import decode_pixels, image_header, image_size
from image_toolkit.images.image_errors import NotAnImageError, Reason
from image_toolkit.images.memory_budget import MemoryBudget
from tests import hostile_images
from tests.fuzzed_images import mutated, outcome, seeds
from tests.hostile_images import HOSTILE, saved
from tests.peak_memory import peak_memory
from tests.small import ended

FILLER = 1 << 20
LARGE = {"png-pixels", "webp-pixels", "jpeg-few-scans-of-many-pixels", "png-profiles"}


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - LARGE))
def test_what_is_made_to_hurt_is_told_by_its_structure(name):
    """It costs next to nothing, and says why it is refused."""
    data = HOSTILE[name].make(FILLER)
    start = time.process_time()
    try:
        decode_pixels(data)
        reason = None
    except NotAnImageError as error:
        reason = error.reason
    assert reason == HOSTILE[name].reason
    assert time.process_time() - start < 5  # twenty times what it takes, also under load


def test_an_image_that_takes_too_long_is_ended_and_the_next_is_decoded():
    """Its decoder is killed by the kernel, so that nothing can put it off; another takes over."""
    decoders = DecoderPool()
    try:
        assert decoders.header(saved("GIF"), 1 << 20).size == (64, 64)
        with pytest.raises(NotAnImageError, match="took over 1 seconds of the processor") as caught:
            decoders.header(hostile_images.png_profiles(16 << 20), 1 << 20)
        assert caught.value.reason == "decoding_timeout"
        header = decoders.header(saved("GIF"), 1 << 20)
        assert decoders.pixels(header, saved("GIF")).shape == (64, 64, 3)
    finally:
        decoders.close()


def test_a_decoder_that_crashes_costs_its_image_alone():
    """As many libraries do when they are given damaged files."""
    decoders = DecoderPool()

    def asked(decoder):
        decoder._process.send_signal(signal.SIGSEGV)
        return decoder.ask({"wanted": "check"}, saved("GIF"))

    try:
        with pytest.raises(NotAnImageError, match="ended, with -11") as caught:
            decoders._use(asked)
        assert caught.value.reason == "decoder_killed"
        assert decoders.header(saved("AVIF"), 1 << 20).size == (64, 64)
    finally:
        decoders.close()


@pytest.mark.parametrize("kills", [1, 2])
def test_a_decoder_that_is_killed_is_no_fault_of_the_image_the_first_time(kills):
    """As when memory is short: another one decodes it, and the rows are those of a calm run."""
    decoders, pids = DecoderPool(), []

    def asked(decoder):
        pids.append(decoder._process.pid)
        if len(pids) <= kills:
            os.kill(pids[-1], signal.SIGKILL)
        return decoder.ask({"wanted": "check"}, saved("GIF"))["loads"]

    try:
        if kills == 1:
            assert decoders._use(asked)
        else:
            with pytest.raises(NotAnImageError, match="two decoders were killed over it") as caught:
                decoders._use(asked)
            assert caught.value.reason == "decoder_killed"
    finally:
        decoders.close()
    assert len(set(pids)) == 2


def test_a_decoder_that_is_killed_while_it_starts(monkeypatch):
    """It takes longer to start than to decode; another one is started."""
    decoders, started, popen = DecoderPool(), [], subprocess.Popen

    def start(*words, **options):
        started.append(popen(*words, **options))
        if len(started) == 1:
            started[0].kill()
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    try:
        assert decoders.header(saved("GIF"), 1 << 20).size == (64, 64)
    finally:
        decoders.close()
    assert len(started) == 2


def sizes_of(kinds):
    """Return the sizes of some images; called in a worker process."""
    return [image_size(saved(kind)) for kind in kinds]


def test_worker_processes_and_threads_have_decoders_of_their_own():
    """A process that was started by another, and threads side by side, each get their answers."""
    kinds = ["GIF", "AVIF", "JPEG"]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(sizes_of, kinds).result() == [(64, 64)] * 3
    images = [saved("GIF", side) for side in range(16, 40)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(image_size, images)) == [(side, side) for side in range(16, 40)]


ORPHAN = """
import os, sys
from tests.hostile_images import saved
from image_toolkit.images.decoding import image_size
image_size(saved("GIF"))
import psutil
print(psutil.Process().children()[0].pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_decoder_ends_with_whoever_started_it():
    """However that ended."""
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert ended([int(done.stdout)])


def test_many_segments_that_an_image_may_have_are_no_reason():
    """A large profile, EXIF of more than one segment, and scans like others': they are decoded."""
    jpeg = saved("JPEG")
    xmp = b"\xff\xe1\xff\xfe" + b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_497)
    exif = b"\xff\xe1" + (60_008).to_bytes(2) + b"Exif\0\0II*\0\x08\0\0\0" + bytes(59_992)
    for parts, isolated in ((xmp * 40, False), (exif * 3, True), (b"\xff" * 1000, False)):
        data = jpeg[:2] + parts + jpeg[2:]
        assert image_header(data).isolated == isolated
        assert np.array_equal(decode_pixels(data), decode_pixels(jpeg))


def test_decoding_shares_one_budget_of_memory():
    """Two large images are decoded one after the other, however many threads there are."""
    budget, held, most = MemoryBudget(100), [], []
    with ThreadPoolExecutor(8) as pool:

        def hold(weight):
            with budget.hold(weight):
                held.append(weight)
                most.append(sum(held))
                time.sleep(0.005)
                held.remove(weight)

        weights = [60, 30, 50, 10, 1000, 40] * 4
        list(pool.map(hold, weights))
    assert len(most) == len(weights)
    assert max(total for total in most if total < 1000) <= 100
    assert most.count(1000) == 4  # what weighs more than all runs, and alone


def test_threads_that_decode_large_images_take_the_memory_of_one(monkeypatch):
    """Eight threads with an image each take what the budget allows, not eight times as much."""
    side = 4500
    weight = 20 * side * side
    monkeypatch.setattr(decoding, "_memory", MemoryBudget(weight))
    data = hostile_images.webp(side)
    with peak_memory() as peak, ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(lambda _: decode_pixels(data).shape, range(8)))
    assert shapes == [(side, side, 3)] * 8
    assert peak.mb < 2 * weight / 1e6  # without it, six times


def test_profiles_are_not_kept():
    """However many large profiles come by, memory stays; one that is larger than any is refused."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with peak_memory() as peak:
        for number in range(40):
            assert is_srgb(profile + number.to_bytes(2) + bytes(3 << 20))
    assert peak.mb < 40  # of 120
    data = hostile_images.jpeg_with(profile_segments(profile + bytes(5 << 20)))
    with pytest.raises(NotAnImageError, match=r"its colour profile has \d+ bytes") as caught:
        image_size(data)
    assert caught.value.reason == "too_complex"


def profile_segments(profile):
    """Return a colour profile as segments of a JPEG."""
    parts = [profile[start : start + 65_000] for start in range(0, len(profile), 65_000)]
    return b"".join(
        b"\xff\xe2"
        + (len(part) + 16).to_bytes(2)
        + b"ICC_PROFILE\0"
        + bytes([n + 1, len(parts)])
        + part
        for n, part in enumerate(parts)
    )


@settings(max_examples=150)
@given(st.sampled_from(sorted(seeds())), st.integers(0, 1 << 32))
def test_damaged_images_end_in_an_image_or_a_reason(name, seed):
    """Whatever is changed in an image of whatever format; `tests/fuzzed_images.py` goes on."""
    data = mutated(seeds()[name], random.Random(seed))
    assert outcome(data) in ("", *get_args(Reason))
