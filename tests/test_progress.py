"""Progress: what a step reports, and what a user sees of it, on a terminal and elsewhere."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fondant_spec import progress
from fondant_spec.plain_words import duration, size
from fondant_spec.progress import Drawing, Progress
from fondant_spec.row_counts import Counts, read_counts
from tests.moved_clock import MovedClock
from tests.small import until

PIPELINE = Path(__file__).parent / "pipelines" / "small.py"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (Counts(3, 7, 1).to_line(), ("", Counts(3, 7, 1))),
        (f"no end yet {Counts(3).to_line()}", ("no end yet ", Counts(3))),
        ("loads the model\n", ("loads the model\n", None)),
        ("fondant-progress: soon\n", ("fondant-progress: soon\n", None)),
        ('fondant-progress: {"more": 1}\n', ('fondant-progress: {"more": 1}\n', None)),
    ],
)
def test_counts_in_a_line(line, expected):
    """Counts come back as they were sent; what a step prints beside them stays."""
    assert read_counts(line) == expected


def test_a_listener_is_sent_counts(monkeypatch, capsys):
    """The total comes at once, and the last counts before the end."""
    monkeypatch.setenv(progress.LISTENER, "1")
    with Progress("step", 4) as counting:
        text, first = read_counts(capsys.readouterr().err)
        assert (text, replace(first, memory=None)) == ("", Counts(0, 4, 0))
        counting.advance(3, 1, before=2)
        counting.advance(1)
    sent = capsys.readouterr().err.splitlines(keepends=True)
    last = read_counts(sent[-1])[1]
    assert replace(last, memory=None) == Counts(4, 4, 1, 2)
    assert 10e6 < last.memory < 100e9  # at least what Python itself takes


def test_counts_come_while_a_step_is_silent(monkeypatch, capsys):
    """What was counted last is sent soon, though nothing more is."""
    monkeypatch.setenv(progress.LISTENER, "1")
    with Progress("step", None) as counting:
        counting.advance(5)
        until(lambda: '"rows": 5' in capsys.readouterr().err)


def test_lines_at_a_steady_pace(monkeypatch, caplog):
    """Without a terminal there is a line now and then, also while no row is done."""
    monkeypatch.delenv(progress.LISTENER, raising=False)
    monkeypatch.setattr(progress, "memory_in_use", lambda: 812_000_000)
    clock, ticks = MovedClock(), {}

    @contextmanager
    def by_hand(seconds, action):
        ticks[seconds] = action
        yield

    monkeypatch.setattr(progress, "_every", by_hand)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr("rich.console.monotonic", clock.monotonic)
    caplog.set_level(logging.INFO)
    with Progress("step", 8) as counting:
        line = ticks.pop(progress.SECONDS_BETWEEN_LINES)
        (count,) = ticks.values()
        for _ in range(2):
            clock.sleep(10)
            line()
        counting.advance(2, 1)
        count()
        clock.sleep(10)
        line()
    assert caplog.messages == [
        "step 0/8, 10 s, 812 MB",
        "step 0/8, 20 s, 812 MB",
        "step 2/8, 30 s, 50.0 % ok (1 lost), 812 MB",
    ]


@pytest.mark.parametrize("before", [0, 5000])
def test_rate_and_time_left(before):
    """Both follow from the rows that came since the first ones; not from an earlier attempt's."""
    drawing = Drawing("[5/6] caption_images", print, io.StringIO())
    clock = iter(range(0, 1000, 10))
    drawing._bars.get_time = lambda: float(next(clock))
    drawing.show(Counts(20, 1420 + before))
    for rows in (100, 180):
        drawing.show(Counts(rows + before, 1420 + before, 2, before, 3_400_000_000))
    drawing._bars.get_time = lambda: 20.0
    counted, share = ("180/1,420", "98.8") if not before else ("5,180/6,420", "99.9")
    assert progress._line(drawing._bars.tasks[0]) == (
        f"[5/6] caption_images {counted}, 8.0/s, 3 min left, {share} % ok (2 lost), 3.4 GB"
    )


def test_rows_that_come_far_apart(monkeypatch):
    """Where the window holds one arrival of rows, the rate is of all since the first ones came."""
    drawing, clock = Drawing("step", print, io.StringIO()), [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    drawing._bars.get_time = lambda: clock[0]
    for rows in (0, 16, 32, 48):  # nothing comes while the model is loaded
        clock[0] += 64
        drawing.show(Counts(rows, 64))
    assert "48/64, 0.2/s, 64 s left" in progress._line(drawing._bars.tasks[0])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (99, "99 s"), (150, "2 min"), (11_100, "3 h 5 min")]
)
def test_durations(seconds, text):
    """A time is told in the unit that a person would choose."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.0 MB"), (12_340_000, "12.3 MB"), (812_000_000, "812 MB"), (3.42e9, "3.4 GB")],
)
def test_sizes(count, text):
    """A size is told in the unit that a person would choose."""
    assert size(count) == text


def test_a_terminal(tmp_path):
    """There is one live line a step, from the start; what is printed stands above it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(PIPELINE), "--base-path", str(tmp_path)],
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:  # how a terminal ends
        pass
    assert process.wait() == 0
    frames = [line[2:] for line in re.split(r"[\r\n]+", ESCAPES.sub("", seen.decode()))]
    assert any(frame.startswith("[1/3] numbers, 0 s") for frame in frames)
    done = r"\[2/3\] double 10/10, (\S+/s, )?\d+ s, 100 % ok, \d+ MB"
    assert any(re.match(done, frame) for frame in frames)
    lines = ESCAPES.sub("", seen.decode()).replace("\r", "\n").splitlines()
    assert any(re.fullmatch(r"\[3/3\] waits: 10 rows in \d+ s", line) for line in lines)
    assert not any("starts" in line for line in lines)
