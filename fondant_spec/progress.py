"""Progress of long work: rows, rate, time left, success rate and memory.

A live line on a terminal; plain lines at a steady interval elsewhere. A step that was started by a
runner writes its counts to stderr instead, one line each, and the runner displays them.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from threading import Event, Lock, Thread
from types import TracebackType
from typing import IO, Any, Final, Self

from fondant_spec.row_counts import Counts, describe_counts

LISTENER: Final = "FONDANT_PROGRESS"
"""The environment variable that says that a runner reads the counts on stderr."""

SECONDS_BETWEEN_LINES: Final = 10.0

_SECONDS_BETWEEN_COUNTS: Final = 0.2
_WINDOW: Final = 30.0
"""Seconds over which the rate is averaged; if rows arrive less often, it averages over all rows."""
_SECONDS_BETWEEN_LOOKS: Final = 2.0
"""The interval at which memory is measured."""

logger = logging.getLogger(__name__)


class Progress:
    """Counts the rows of some work and displays its progress; `total` is None if unknown."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._lock = Lock()
        self._counts = Counts(total=total)
        self._told: Counts | None = None
        self._looked = float("-inf")
        self._show: Callable[[Counts], None] = _send
        self._stack = ExitStack()

    def advance(self, rows: int, rejects: int = 0, before: int = 0) -> None:
        """Count finished rows; thread-safe.

        Args:
            rows: how many more.
            rejects: how many of them were rejected.
            before: how many of them an earlier attempt did; these do not count towards the rate.
        """
        with self._lock:
            now = self._counts
            self._counts = replace(
                now, rows=now.rows + rows, lost=now.lost + rejects, before=now.before + before
            )

    def __enter__(self) -> Self:
        if LISTENER not in os.environ:
            drawing = Drawing(self._title, _log, sys.stderr)
            self._show = self._stack.enter_context(drawing).show
        self._tell()
        self._stack.enter_context(_every(_SECONDS_BETWEEN_COUNTS, self._tell))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tell()
        self._stack.close()

    def _tell(self) -> None:
        if time.monotonic() - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked, memory = time.monotonic(), memory_in_use()
            with self._lock:
                self._counts = replace(self._counts, memory=memory)
        if self._counts != self._told:
            self._told = self._counts
            self._show(self._told)


class Drawing:
    """Displays counts for the duration of a `with` statement.

    Args:
        title: the beginning of the line.
        say: called with each line if `stream` is not a terminal.
        stream: where to draw, if it is a terminal.
    """

    def __init__(self, title: str, say: Callable[[str], None], stream: IO[str]) -> None:
        # Not needed by steps that a runner started, nor to show a plan.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import Progress as Bars  # noqa: PLC0415

        self._say = say
        self._console = Console(file=stream)
        self.live = stream.isatty() and self._console.is_terminal
        self._bars = Bars(
            *_columns(),
            console=self._console,
            transient=True,
            disable=not self.live,
            speed_estimate_period=_WINDOW,
        )
        self._task = self._bars.add_task(title, total=None, counts=Counts(), average=None)
        self._first: tuple[float, int] | None = None
        self._stack = ExitStack()

    def show(self, counts: Counts) -> None:
        """Display new counts; thread-safe."""
        done = counts.rows - counts.before  # the rate covers this attempt only
        self._bars.update(self._task, completed=done, counts=counts, average=self._average(done))

    def _average(self, done: int) -> float | None:
        """Return rows per second since the first rows arrived: the time before was loading."""
        now = time.monotonic()
        if self._first is None and done > 0:
            self._first = now, done
        began, first = self._first or (now, done)
        return (done - first) / (now - began) if now > began and done > first else None

    def __enter__(self) -> Self:
        if self.live:
            self._stack.enter_context(self._bars)
            self._stack.enter_context(_logs_above(self._console.file))
        else:
            line = _every(SECONDS_BETWEEN_LINES, lambda: self._say(_line(self._bars.tasks[0])))
            self._stack.enter_context(line)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def memory_in_use() -> int:
    """Return the resident memory of this process and its children, in bytes."""
    import psutil  # noqa: PLC0415 - not needed to show a plan

    this, total = psutil.Process(), 0
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.Error):  # ended meanwhile
            total += process.memory_info().rss
    return total


def _columns() -> list[Any]:
    from rich.progress import ProgressColumn, SpinnerColumn, Task  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Line(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            return Text(_line(task), no_wrap=True, overflow="ellipsis")

    return [SpinnerColumn(), Line()]


def _line(task: Any) -> str:
    """Format a task of `rich` as `[5/6] caption_images 120/422, 8.1/s, 38 s left, 100 % ok`."""
    counts: Counts = task.fields["counts"]
    speed = task.speed or task.fields["average"]
    told = describe_counts(counts, speed, task.elapsed or 0.0)
    counted = counts.rows or counts.total is not None
    return f"{task.description}{' ' if counted else ', '}{told}"


def _send(counts: Counts) -> None:
    with suppress(OSError, ValueError):  # the runner is gone: that ends the step, not its progress
        sys.stderr.write(counts.to_line())
        sys.stderr.flush()


def _log(line: str) -> None:
    logger.info("%s", line)


@contextmanager
def _every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` at a steady interval, in a thread, for the duration of a `with` statement."""
    ended = Event()

    def run() -> None:
        with suppress(OSError):  # the reader is gone: the main thread will notice, too
            while not ended.wait(seconds):
                action()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _logs_above(stream: IO[str]) -> Iterator[None]:
    """Print log lines that go to the terminal above the live line instead of into it."""
    moved = [
        (handler, handler.stream)
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in (stream, sys.__stderr__)
    ]
    for handler, _ in moved:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, before in moved:
            handler.setStream(before)
