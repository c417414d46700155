"""Prepare images in processes, which write the pixels into memory shared with this one.

Threads do not scale to many cores: each image takes and releases the Python lock some ten times,
and the thread that launches the GPU's work queues up behind all of them. Here, a thread sends some
sixteen files to a process at once, and waits; it does next to nothing per image.
"""

import logging
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final

from fondant_spec.cpu import cpu_count
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.preparing_process import LEFT
from image_toolkit.models.runtime.preparing_worker import (
    BYTES_AT_ONCE,
    PATIENCE_S,
    GoneError,
    KilledError,
    NoMoreError,
    PreparingWorker,
    Row,
    file_of,
    sockets,
)
from image_toolkit.programs import start_program

logger = logging.getLogger(__name__)

ROWS_AT_ONCE: Final = 16
"""Images sent to a process at once: usually a tenth of a second of its time."""

_PROGRAM: Final = "image_toolkit.models.runtime.preparing_process"
LEAST_CORES: Final = 4
_START_S: Final = 60.0
_TRIES: Final = 2


class _ClosedError(Exception):
    """Nobody waits for the images any more."""


class PreparingProcesses:
    """A pool of processes that prepare images: started on demand, reused, replaced if killed.

    `fill` may be called from as many threads at once, each of which uses its own process.
    """

    def __init__(self, count: int) -> None:
        """Start the program that they are forked from, without waiting for it."""
        self.count = count
        self._idle: list[PreparingWorker] = []
        self._lock = Lock()
        self._is_used = self._is_lost = self._is_closed = False
        self._control, theirs = sockets(_START_S)
        try:
            with theirs:
                self._program = start_program(_PROGRAM, theirs.fileno(), CUDA_VISIBLE_DEVICES="")
        except OSError:
            self._control.close()
            raise

    def fill(self, rows: Sequence[Row]) -> list[NotAnImageError | None]:
        """Fill the slots of images; return an error for each that is not an image, else None."""
        return [error for some in _pieces(rows) for error in self._filled(some)]

    def close(self) -> None:
        """Kill all processes, whatever they are doing."""
        self._is_closed = True
        with suppress(OSError):  # it has already ended
            self._control.shutdown(socket.SHUT_RDWR)
        if not self._is_used:  # it may not even be listening yet
            self._program.kill()
        try:
            self._program.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        with self._lock:
            self._control.close()
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def _filled(self, rows: Sequence[Row]) -> list[NotAnImageError | None]:
        """Have a process fill slots; if it is killed, another one; then each image's separately.

        The first time may not be the fault of the images.
        """
        tries = 0
        while tries < _TRIES:
            try:
                return self._ask(rows)
            except GoneError:
                continue  # it never saw them, and is no longer in the pool
            except KilledError:
                tries += 1
        if len(rows) == 1:
            message = f"{_TRIES} processes were killed over it"
            return [NotAnImageError(reason="decoder_killed", message=message)]
        return [self._filled([row])[0] for row in rows]

    def _ask(self, rows: Sequence[Row]) -> list[NotAnImageError | None]:
        process = self._take()
        if process is None:
            return [_fill_here(row) for row in rows]
        try:
            answers = process.ask(rows)
        except BaseException as error:
            self._end(process, error)
            raise
        self._keep(process)
        return [_settled(row, answer) for row, answer in zip(rows, answers, strict=True)]

    def _keep(self, process: "PreparingWorker") -> None:
        with self._lock:
            if self._is_closed:
                process.close()
            else:
                self._idle.append(process)

    def _take(self) -> "PreparingWorker | None":
        """Return a process to use; None if no more can be started."""
        with self._lock:
            if self._is_closed:
                raise _ClosedError
            if self._idle:
                return self._idle.pop()
            if self._is_lost:
                return None
            self._is_used = True
            try:
                return PreparingWorker(self._control)
            except NoMoreError:
                return None
            except OSError as error:
                if self._is_closed:
                    raise _ClosedError from None
                self._is_lost = True
                told = str(error) or type(error).__name__
        logger.warning("No process can be started to prepare images (%s); threads do it.", told)
        return None

    def _end(self, process: "PreparingWorker", error: BaseException) -> None:
        """Make sure that a process does not write any more."""
        if self._is_closed:
            process.close()
            raise _ClosedError from None
        if isinstance(error, KilledError):
            logger.warning(
                "A process that prepares images was killed, or took over %d s, most likely for "
                "want of memory; another one does its work.",
                PATIENCE_S,
            )
        with self._lock, suppress(OSError):  # if so, they have all ended
            self._control.send(str(process.id).encode())
        process.wait_for_its_end()


def preparing_processes(*, on_gpu: bool) -> PreparingProcesses | None:
    """Return processes that prepare images, one fewer than cores; None to use threads.

    A model on a CPU leaves no cores for them.
    """
    count = cpu_count()
    if not on_gpu or count < LEAST_CORES or not hasattr(os, "memfd_create"):
        return None
    try:
        return PreparingProcesses(count - 1)
    except OSError as error:
        logger.warning("No process can be started to prepare images (%s); threads do it.", error)
        return None


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows in pieces that fit in one message."""
    piece, size = list[Row](), 0
    for row in rows:
        own = file_of(row).nbytes
        if piece and (len(piece) == ROWS_AT_ONCE or size + own > BYTES_AT_ONCE):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += own
    if piece:
        yield piece


def _settled(row: Row, answer: Any) -> NotAnImageError | None:
    if answer == LEFT:
        return _fill_here(row)
    if answer is not None:
        reason, message = answer
        return NotAnImageError(reason=reason, message=message)
    for slot in row:
        slot.mark_filled()
    return None


def _fill_here(row: Row) -> NotAnImageError | None:
    """Fill the slots of an image that no process takes."""
    data = bytes(file_of(row))
    try:
        for slot in row:
            slot.fill(slot.batch.preparation(data))
    except NotAnImageError as error:
        return error.with_traceback(None)  # whose frames keep the image alive
    return None
