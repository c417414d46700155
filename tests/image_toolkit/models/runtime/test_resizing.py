"""Resizing equals Pillow's to within one level, and releases the GIL."""

import io
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from image_toolkit.models.runtime import resizing
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.resizing import Stretch, resize

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
FAST = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in resizing._VECTORISED,
    reason="PyTorch resizes bytes in one thread with AVX2 only",
)
SIZES = {  # height and width of the image, of what is made of it, and of what is kept
    "down, cropped": ((318, 425), (224, 299), (224, 224)),
    "tall": ((500, 333), (336, 224), (224, 224)),
    "squashed": ((635, 850), (384, 384), (384, 384)),
    "up": ((100, 133), (224, 298), (224, 224)),
    "far down": ((3000, 3100), (224, 231), (224, 224)),
    "a few pixels": ((2, 3), (224, 336), (224, 224)),
    "one pixel": ((1, 1), (224, 224), (224, 224)),
}


def stretches(size, made, kept):
    """Return the two directions of a resize whose middle is kept."""
    return (
        Stretch(old / new, new, (new - left) // 2, left)
        for old, new, left in zip(size, made, kept, strict=True)
    )


def by_pillow(pixels, made, kept, resample):
    """Return what Pillow gives when all is resized, and then cropped."""
    whole = np.asarray(Image.fromarray(pixels).resize((made[1], made[0]), resample))
    top, left = ((new - some) // 2 for new, some in zip(made, kept, strict=True))
    return whole[top : top + kept[0], left : left + kept[1]]


@FAST
@pytest.mark.parametrize("resample", [BICUBIC, BILINEAR])
@pytest.mark.parametrize("name", SIZES)
def test_comes_within_a_level_of_pillow(name, resample):
    """A photo comes out as Pillow makes it, but for a rounding, or two where it is made larger."""
    size, made, kept = SIZES[name]
    pixels = np.array(Image.fromarray(data.astronaut()).resize((size[1], size[0]), BICUBIC))
    ours = resize(pixels, *stretches(size, made, kept), resample)
    difference = np.abs(ours.astype(int) - by_pillow(pixels, made, kept, resample))
    assert difference.shape == (*kept, 3)
    assert difference.max() <= (2 if made > size else 1)
    assert difference.mean() < 0.01


@FAST
def test_an_odd_size_that_was_halved_stays_where_it_is():
    """The last row of a decoded half may stand for half a row: the picture is not moved by it."""
    pixels = np.array(Image.fromarray(data.astronaut()).resize((425, 318), BICUBIC))
    down, across = Stretch(317.5 / 224, 224, 0, 224), Stretch(425 / 224, 224, 0, 224)
    wanted = Image.fromarray(pixels).resize((224, 224), BICUBIC, (0, 0, 425, 317.5))
    ours = resize(pixels, down, across, BICUBIC)
    assert np.abs(ours.astype(int) - np.asarray(wanted)).max() <= 1


@pytest.mark.parametrize(
    ("resample", "capability", "size"),
    [
        (Image.Resampling.LANCZOS, "AVX2", "up"),
        (BICUBIC, "DEFAULT", "up"),
        (BICUBIC, "AVX2", "a line"),
    ],
)
def test_the_rest_is_left_to_pillow(resample, capability, size, monkeypatch):
    """Other filters, other CPUs, and what is nearly all cropped: Pillow makes only what is kept."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(resizing, "interpolate", None)
    lines = {"a line": ((1, 3000), (224, 672_000), (224, 224))}
    size, made, kept = {**SIZES, **lines}[size]
    pixels = np.full((*size, 3), 77, np.uint8)
    assert (resize(pixels, *stretches(size, made, kept), resample) == 77).all()


def test_pixels_that_are_read_only():
    """What Pillow decoded may not be written to, which PyTorch asks for: it gets a copy."""
    pixels = np.asarray(Image.new("RGB", (30, 20), "red"))
    assert not pixels.flags.writeable
    made = resize(pixels, Stretch(2, 10, 0, 10), Stretch(3, 10, 0, 10), BICUBIC)
    assert (made == [255, 0, 0]).all()


@FAST
@pytest.mark.parametrize("side", [224, 384])
def test_other_threads_run_while_an_image_is_prepared(side):
    """Both decoding and resizing let go of Python's lock, which is never taken from them here."""
    file = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((1700, 1270)).save(file, "JPEG")
    prepare = PixelPreparation((side, side), None, BICUBIC, 1, (0, 0, 0), (1, 1, 1))
    calls = {"decode": lambda: prepare(file.getvalue()), "resize": lambda: prepare.pixels(pixels)}
    pixels = np.array(Image.open(file))
    before = sys.getswitchinterval()
    inside = [False]

    def work(call):
        for _ in range(30):
            inside[0] = True
            call()
            inside[0] = False

    sys.setswitchinterval(100)
    try:
        for call in calls.values():
            with ThreadPoolExecutor(1) as pool:
                done, seen = pool.submit(work, call), 0
                while not done.done():
                    seen += inside[0]
                    time.sleep(0)
            assert seen > 0
    finally:
        sys.setswitchinterval(before)


@FAST
def test_no_team_of_threads_is_started():
    """A resize runs in the thread that asks for it: sixteen of them start no other sixteen each."""
    program = """
import numpy as np, os, threading, torch
from PIL import Image
from image_toolkit.models.runtime.resizing import Stretch, resize
torch.set_num_threads(4)
def work():
    before = len(os.listdir("/proc/self/task"))
    half = Stretch(2, 300, 0, 300)
    for _ in range(3):
        resize(np.zeros((600, 600, 3), np.uint8), half, half, Image.Resampling.BICUBIC)
    print(len(os.listdir("/proc/self/task")) - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "0\n"
