"""Processes prepare the pixels that threads prepare, and what ends them costs one image at most."""

import gc
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.runtime import preparing_processes as module
from image_toolkit.models.runtime import preparing_worker
from image_toolkit.models.runtime.blocks import Block
from image_toolkit.models.runtime.feed import Feed, prepared
from image_toolkit.models.runtime.feed_rows import FeedRow, rows_of
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.preparing_process import LIGHT_BYTES
from image_toolkit.models.runtime.preparing_processes import (
    PreparingProcesses,
    preparing_processes,
)
from image_toolkit.models.runtime.slots import stacked
from tests import hostile_images
from tests.deadly_preparation import Deadly
from tests.small import ended

ROOT = Path(__file__).parents[4]
HALF = (0.5, 0.5, 0.5)
PREPARE = PixelPreparation(32, (32, 32), Image.Resampling.BICUBIC, 1 / 255, HALF, HALF)
SQUASH = PixelPreparation((16, 24), None, Image.Resampling.BICUBIC, 1 / 255, HALF, HALF)
DEADLY = Deadly(32, (32, 32), Image.Resampling.BICUBIC, 1 / 255, HALF, HALF)
PARTS = (
    np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8),
    np.random.default_rng(1).integers(0, 256, (5, 3, 3), np.uint8),
)

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfd_create is Linux's")


def photo(number: int) -> bytes:
    """Return a smooth JPEG of a size and colours of its own."""
    image = Image.fromarray(np.roll(PARTS[number % 2], number, 0))
    file = io.BytesIO()
    image.resize((200 + number, 260 - number), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


PHOTOS = [photo(number) for number in range(50)]


def fed(cells, processes, *, size=20, ahead=2, by=PREPARE):
    """Return the ids of each group, its pixels, and the rejects."""
    feed = Feed(
        lambda row, slot: prepared(by, row, slot),
        lambda: size,
        ahead=ahead,
        into=[by],
        processes=processes,
    )
    column = pa.array(cells, pa.binary())
    batch = pa.record_batch([pa.array([f"{n:03}" for n in range(len(cells))]), column], ["id", "i"])
    rejects = Rejects()
    try:
        rows = rows_of(iter([batch.slice(0, 7), batch.slice(7)]), "i")
        groups = [
            ([row.id for row in group.rows], stacked(group.items).clone())
            for group in feed.groups(rows, rejects)
        ]
    finally:
        feed.close()
    return groups, [(r["id"], r["reason"], r["message"]) for r in rejects.to_table().to_pylist()]


def same(one, other) -> bool:
    """Return whether two feeds gave the same groups and rejects."""
    ids = [ids for ids, _ in one[0]] == [ids for ids, _ in other[0]]
    pixels = all(torch.equal(a, b) for (_, a), (_, b) in zip(one[0], other[0], strict=True))
    return ids and pixels and one[1] == other[1]


def children(pid: int) -> set[int]:
    """Return the processes that one has started, and these in turn."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    own = {int(child) for child in told.split()}
    return own.union(*map(children, own))


def open_files() -> set[str]:
    """Return the descriptors of this process."""
    gc.collect()  # what an error refers to
    return {file.name for file in Path("/proc/self/fd").iterdir()}


def test_pixels_and_rejects_are_those_of_threads():
    """Order, pixels, damaged images, null cells and unusual images: all as threads have it."""
    cells = [
        *PHOTOS[:9],
        None,
        b"",
        b"<html>",
        PHOTOS[9][:1500],
        hostile_images.saved("PNG", 300),
        hostile_images.saved("GIF"),
        hostile_images.scans(64, 600),
        *PHOTOS[10:],
    ]
    by_threads = fed(cells, None)
    assert {"missing", "empty", "not_an_image", "truncated"} <= {row[1] for row in by_threads[1]}
    assert same(fed(cells, PreparingProcesses(3)), by_threads)


def test_heavy_images_are_left_to_the_one_who_asks(monkeypatch):
    """What takes much memory, or a decoder of its own, is prepared under this process's bounds."""
    heavy = io.BytesIO()
    side = int((LIGHT_BYTES / 20) ** 0.5) + 50
    Image.new("RGB", (side, side), (200, 30, 90)).save(heavy, "PNG")
    here = []
    fill_here = module._fill_here
    monkeypatch.setattr(module, "_fill_here", lambda row: here.append(row) or fill_here(row))
    cells = [PHOTOS[0], heavy.getvalue(), PHOTOS[1], hostile_images.saved("GIF")]
    found = fed(cells, PreparingProcesses(2))
    assert len(here) == 2
    assert same(found, fed(cells, None))


def test_large_files_go_one_by_one(monkeypatch):
    """Messages have so many bytes at most, or one file."""
    for part in (module, preparing_worker):
        monkeypatch.setattr(part, "BYTES_AT_ONCE", 2 * len(PHOTOS[0]))
    padded = [photo + b"\0" * 3 * len(PHOTOS[0]) if n % 5 == 0 else photo
              for n, photo in enumerate(PHOTOS)]  # fmt: skip
    assert same(fed(padded, PreparingProcesses(2)), fed(padded, None))


def test_two_preparations_of_one_image():
    """A caption's image goes to its model and to CLIP; its file is sent once."""

    def both(row, one, other):
        return prepared(PREPARE, row, one), prepared(SQUASH, row, other)

    processes = PreparingProcesses(2)
    feed = Feed(both, lambda: 10, ahead=1, into=[PREPARE, SQUASH], processes=processes)
    cells = [*PHOTOS[:4], b"<html>", *PHOTOS[4:12]]
    rejects = Rejects()
    groups = list(feed.groups((FeedRow(str(n), cell) for n, cell in enumerate(cells)), rejects))
    feed.close()
    items = [item for group in groups for item in group.items]
    assert [row["id"] for row in rejects.to_table().to_pylist()] == ["4"]
    for (one, other), cell in zip(items, PHOTOS[:12], strict=True):
        np.testing.assert_array_equal(one, PREPARE(cell))
        np.testing.assert_array_equal(other, SQUASH(cell))


def test_a_killed_process_costs_nothing(tmp_path, caplog):
    """Another one does its work; once may be no fault of the image."""
    once = f"once:{tmp_path / 'flag'}\n".encode()
    cells = [once + cell if number == 5 else cell for number, cell in enumerate(PHOTOS)]
    assert same(fed(cells, PreparingProcesses(2), by=DEADLY), fed(PHOTOS, None))
    assert caplog.text.count("A process that prepares images was killed") == 1


def test_processes_that_died_idle_cost_nothing():
    """They never saw the images, so that says nothing of these: each is prepared."""
    processes = PreparingProcesses(6)
    feed = Feed(
        lambda row, slot: prepared(PREPARE, row, slot),
        lambda: 48,
        ahead=1,
        into=[PREPARE],
        processes=processes,
    )
    rejects, made = Rejects(), []
    try:
        for count in (48, 1):  # one image meets all of them, one after the other
            rows = iter([FeedRow(f"{n}", cell) for n, cell in enumerate(PHOTOS[:count])])
            made += [stacked(group.items).clone() for group in feed.groups(rows, rejects)]
            killed = children(processes._program.pid)
            for child in killed:
                os.kill(child, signal.SIGKILL)
            assert ended(killed)
    finally:
        feed.close()
    assert len(rejects) == 0
    assert torch.equal(made[0][:1], made[1])


def test_an_image_that_kills_is_a_reject():
    """It alone: all others of its batch are there, in order."""
    cells = [b"kill" if number in {3, 30} else cell for number, cell in enumerate(PHOTOS)]
    groups, rejects = fed(cells, PreparingProcesses(2), by=DEADLY)
    told = "2 processes were killed over it"
    assert rejects == [("003", "decoder_killed", told), ("030", "decoder_killed", told)]
    left = [cell for cell in cells if cell != b"kill"]
    made = torch.cat([pixels for _, pixels in groups])
    np.testing.assert_array_equal(made, np.stack([PREPARE(cell) for cell in left]))


def test_a_process_that_does_not_answer_is_ended(monkeypatch):
    """Its memory may be given to others: so it must be gone before anybody goes on."""
    for part in (module, preparing_worker):
        monkeypatch.setattr(part, "PATIENCE_S", 1.0)
    groups, rejects = fed([b"stop"], PreparingProcesses(1), by=DEADLY)
    assert groups == []
    assert [row[:2] for row in rejects] == [("000", "decoder_killed")]


def test_a_defect_is_raised_with_its_traceback():
    """An error that is not about the image ends the partition."""
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fed([*PHOTOS[:3], b"defect"], PreparingProcesses(2), by=DEADLY)


def test_threads_take_over_if_there_are_no_processes(caplog):
    """What cannot be started, or has ended, is done without, and that is said once."""
    processes = PreparingProcesses(3)
    processes._program.kill()
    processes._program.wait()
    assert same(fed(PHOTOS, processes), fed(PHOTOS, None))
    assert caplog.text.count("No process can be started to prepare images") == 1


def test_nothing_is_left_when_the_feed_is_closed():
    """Neither processes nor open files, whatever the processes are at."""
    before = open_files()
    processes = PreparingProcesses(2)
    feed = Feed(
        lambda row, slot: prepared(DEADLY, row, slot),
        lambda: 4,
        ahead=2,
        into=[DEADLY],
        processes=processes,
    )
    cells = [*PHOTOS[:6], b"sleep", *PHOTOS[6:12]]
    groups = feed.groups((FeedRow(str(n), cell) for n, cell in enumerate(cells)), Rejects())
    assert len(next(groups).items) == 4
    there = children(processes._program.pid)
    assert there
    start = time.monotonic()
    feed.close()
    assert time.monotonic() - start < 30
    assert ended(there)
    del groups, feed, processes
    assert open_files() <= before


def test_processes_end_with_a_parent_that_is_killed():
    """Nobody is there to close anything, and still nothing is left."""
    program = """
import os, signal, sys
from tests.image_toolkit.models.runtime.test_preparing_processes import *
processes = PreparingProcesses(2)
feed = Feed(lambda row, slot: prepared(DEADLY, row, slot), lambda: 4, ahead=2, into=[DEADLY],
            processes=processes)
next(feed.groups(iter([FeedRow(str(n), b"sleep" if n > 3 else PHOTOS[n]) for n in range(9)]),
                 Rejects()))
print(*children(os.getpid()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    there = [int(pid) for pid in done.stdout.split()]
    assert len(there) >= 2
    assert ended(there)


@pytest.mark.parametrize(
    ("on_gpu", "cores", "count"), [(True, 16, 15), (True, 4, 3), (True, 3, None), (False, 16, None)]
)
def test_who_prepares(monkeypatch, on_gpu, cores, count):
    """Processes, if there is a GPU to feed and cores to do it: all but one."""
    monkeypatch.setattr(module, "cpu_count", lambda: cores)
    processes = preparing_processes(on_gpu=on_gpu)
    assert (processes and processes.count) == count
    if processes is not None:
        processes.close()


def test_processes_that_are_of_no_use_are_ended():
    """What is not pixels is prepared by threads."""
    processes = PreparingProcesses(2)
    feed = Feed(
        lambda row, slot: prepared(str.strip, row, slot),
        lambda: 2,
        ahead=1,
        into=[str.strip],
        processes=processes,
    )
    assert processes._program.returncode is not None
    (group,) = feed.groups(iter([FeedRow("a", "text")]), Rejects())
    assert group.items == ["text"]
    feed.close()


def test_memory_that_no_driver_knows_is_used_as_it_is(caplog):
    """Without a GPU it cannot be pinned, and that is said once."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for _ in range(2):
        block = Block(3, (4, 5, 3), pinned=True, shared=True)
        block.images[1] = 7
        assert os.pread(block.file, 61, 60) == b"\7" * 60 + b"\0"
    assert caplog.text.count("Shared memory is not pinned") <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that PyTorch can use")
def test_shared_memory_is_pinned_on_a_card():
    """The driver knows it, views of it too, until it is let go."""
    block = Block(8, (32, 32, 3), pinned=True, shared=True)
    view = torch.from_numpy(block.images[:5].numpy()[1:3])
    assert view.is_pinned()
    assert view.pin_memory().data_ptr() == view.data_ptr()
    block.images.fill_(9)
    assert (view.to("cuda", non_blocking=True).cpu() == 9).all()
    del view, block
    again = Block(8, (32, 32, 3), pinned=True, shared=True)
    assert again.images.is_pinned()
