"""One of the processes that prepare images, seen from the step: messages and shared memory."""

import json
import os
import pickle
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, cast

from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.preparing_process import MOST_SENT, NONE, Answer, Request
from image_toolkit.models.runtime.slots import Batch, Slot

BYTES_AT_ONCE: Final = 8 << 20
PATIENCE_S: Final = 120.0

Row = Sequence[Slot]
"""The slots of one image, not yet filled."""


class KilledError(Exception):
    """A process has ended, or had to be killed."""


class NoMoreError(OSError):
    """The system starts no further process; the existing ones go on."""


class GoneError(KilledError):
    """A process had already ended when it was given work."""


class PreparingWorker:
    """One process, used by one thread at a time."""

    def __init__(self, control: socket.socket) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started.
        """
        self._inbox = os.memfd_create("inbox")
        self._socket, theirs = sockets(PATIENCE_S)
        try:
            with theirs:
                self.id = _started(control, theirs.fileno(), self._inbox)
        except BaseException:
            self.close()
            raise

    def ask(self, rows: Sequence[Row]) -> list[Answer]:
        """Return the answer for each image.

        Raises:
            KilledError: the process has ended, or does not answer.
            RuntimeError: the code that prepares images has a bug.
        """
        files = [file_of(row) for row in rows]
        size = self._put(files)
        batches: dict[Batch, int] = {}
        jobs = [
            (file.nbytes, [(batches.setdefault(s.batch, len(batches)), s.number) for s in row])
            for file, row in zip(files, rows, strict=True)
        ]
        request: Request = jobs, [_pickled(batch.preparation) for batch in batches]
        try:
            socket.send_fds(
                self._socket,
                [pickle.dumps(request)],
                [cast("int", batch.file) for batch in batches],
            )
        except ConnectionError:
            raise GoneError from None
        try:
            answer = self._socket.recv(MOST_SENT)
        except (ConnectionError, TimeoutError):
            raise KilledError from None
        if not answer:
            raise KilledError
        if size > BYTES_AT_ONCE:
            os.ftruncate(self._inbox, 0)
        told: Mapping[str, Any] = json.loads(answer)
        if "defect" in told:
            raise RuntimeError(told["defect"])
        answers: list[Answer] = told["answers"]
        return answers

    def _put(self, files: Sequence[memoryview]) -> int:
        """Write files where the process reads them, back to back; return their total size."""
        size = sum(file.nbytes for file in files)
        if os.pwritev(self._inbox, files, 0) != size:
            msg = f"{size} bytes of images cannot be handed on: the memory is full."
            raise OSError(msg)
        return size

    def wait_for_its_end(self) -> None:
        """Return once the process can write no more.

        Raises:
            TimeoutError: not even the kernel can end it.
        """
        try:
            with suppress(ConnectionError):
                while self._socket.recv(MOST_SENT):
                    pass  # a late answer
        finally:
            self.close()

    def close(self) -> None:
        """Release it: the process ends when it looks for the next request."""
        self._socket.close()
        os.close(self._inbox)


def _started(control: socket.socket, theirs: int, inbox: int) -> int:
    """Start a process, and return its id."""
    socket.send_fds(control, [b"start"], [theirs, inbox])
    number = control.recv(MOST_SENT)
    if not number:
        msg = "their program has ended"
        raise ConnectionError(msg)
    if int(number) == NONE:
        msg = "the system starts no more of them"
        raise NoMoreError(msg)
    return int(number)


def sockets(patience_s: float) -> tuple[socket.socket, socket.socket]:
    """Return a socket pair that keeps message boundaries, with a timeout on this end."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ours.settimeout(patience_s)
    return ours, theirs


@cache
def _pickled(preparation: PixelPreparation) -> bytes:
    return pickle.dumps(preparation)


def file_of(row: Row) -> memoryview:
    """Return the file of an image."""
    return memoryview(row[0].awaits or b"")
