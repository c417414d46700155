"""Progress: what a step sends, and what a person sees of it, on a terminal and elsewhere."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fondant_spec import progress
from fondant_spec.progress import Counts, Drawing, Progress, duration, read_counts

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
        assert read_counts(capsys.readouterr().err) == ("", Counts(0, 4, 0))
        counting.advance(3, 1)
        counting.advance(1)
    sent = capsys.readouterr().err.splitlines(keepends=True)
    assert read_counts(sent[-1]) == ("", Counts(4, 4, 1))


def test_counts_come_while_a_step_is_silent(monkeypatch, capsys):
    """What was counted last is sent soon, though nothing more is."""
    monkeypatch.setenv(progress.LISTENER, "1")
    with Progress("step", None) as counting:
        counting.advance(5)
        end, sent = time.monotonic() + 10, ""
        while '"rows": 5' not in sent and time.monotonic() < end:
            time.sleep(0.05)
            sent += capsys.readouterr().err
    assert '"rows": 5' in sent


def test_lines_at_a_steady_pace(monkeypatch, caplog):
    """Without a terminal there is a line now and then, also while no row is done."""
    monkeypatch.delenv(progress.LISTENER, raising=False)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    caplog.set_level(logging.INFO)
    with Progress("step", 8) as counting:
        time.sleep(0.5)
        counting.advance(2, 1)
        time.sleep(0.5)
    lines = caplog.messages
    assert lines.count("step 0/8, 0 s") > 1
    assert re.fullmatch(r"step 2/8, 1 s, 1 lost", lines[-1])
    assert 6 < len(lines) < 21


def test_rate_and_time_left():
    """Both follow from the rows that came since the first ones."""
    drawing = Drawing("[5/6] caption_images", print, io.StringIO())
    clock = iter(range(0, 1000, 10))
    drawing._bars.get_time = lambda: float(next(clock))
    for rows in (20, 100, 180):
        drawing.show(Counts(rows, 1420, 2))
    drawing._bars.get_time = lambda: 20.0
    assert progress._line(drawing._bars.tasks[0]) == (
        "[5/6] caption_images 180/1,420, 8.0/s, 3 min left, 2 lost"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (99, "99 s"), (150, "2 min"), (11_100, "3 h 5 min")]
)
def test_durations(seconds, text):
    """A time is told in the unit that a person would choose."""
    assert duration(seconds) == text


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
    assert any(re.match(r"\[2/3\] double 10/10, \d+ s", frame) for frame in frames)
    lines = ESCAPES.sub("", seen.decode()).replace("\r", "\n").splitlines()
    assert any(re.fullmatch(r"\[3/3\] waits: 10 rows in \d+ s", line) for line in lines)
    assert not any("starts" in line for line in lines)
