"""A pool of decoder processes: started on demand, reused, and killed when they take too long."""

import atexit
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from multiprocessing import BufferTooShort, Pipe
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from fondant_spec.cpu import cpu_count
from image_toolkit.images.decoder_process import DEADLINES_S, READY
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.image_header import ImageHeader
from image_toolkit.programs import start_program

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROGRAM: Final = "image_toolkit.images.decoder_process"
_PATIENCE_S: Final = 60.0
"""Wall-clock seconds to wait for an answer, in case the kernel's CPU-time limit never triggers."""

_MOST_ANSWERED: Final = 1 << 20
_LOST: Final = (EOFError, OSError, ValueError, BufferTooShort)
Made = TypeVar("Made")


class _KilledError(Exception):
    """A decoder was killed, but not by its CPU-time limit: most likely for lack of memory."""


class _Decoder:
    """One process, used by one thread at a time."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = start_program(_PROGRAM, theirs.fileno())
        try:
            self._connection.recv_bytes(len(READY))
        except EOFError:
            code = self._process.wait()
            if code == -signal.SIGKILL:
                raise _KilledError from None
            msg = f"{_PROGRAM} does not start: it ended with {code}."
            raise RuntimeError(msg) from None

    @property
    def is_alive(self) -> bool:
        """Whether it can take requests."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            NotAnImageError: the image cannot be decoded, or the process had to be killed.
            _KilledError: something else killed the process.
        """
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            self._connection.send_bytes(data)
            if not self._connection.poll(_PATIENCE_S):
                raise self._ended(request["wanted"], late=True)
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes(_MOST_ANSWERED))
        except _LOST:
            raise self._ended(request["wanted"]) from None
        if "reason" in answer:
            raise NotAnImageError(reason=answer["reason"], message=answer["message"])
        return answer

    def pixels(self, shape: Sequence[int]) -> "NDArray[np.uint8]":
        """Return the pixels that follow an answer."""
        pixels = np.empty(shape, np.uint8)
        try:
            received = self._connection.recv_bytes_into(pixels.data.cast("B"))
        except _LOST:
            raise self._ended() from None
        if received != pixels.nbytes:
            raise self._ended()
        return pixels

    def end(self) -> None:
        """Kill the process, whatever it is doing."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _ended(self, wanted: str = "pixels", *, late: bool = False) -> Exception:
        """Return why there is no answer; the process is gone afterwards."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if late else 1)
        self.end()
        code = self._process.returncode
        if late or code == -signal.SIGPROF:
            seconds = DEADLINES_S[wanted]
            message = f"its {wanted} took over {seconds:g} seconds of the processor's time"
            return NotAnImageError(reason="decoding_timeout", message=message)
        if code == -signal.SIGKILL:
            return _KilledError()
        message = f"its decoder was ended, with {code}"
        return NotAnImageError(reason="decoder_killed", message=message)


class DecoderPool:
    """Decoder processes, at most one per core."""

    def __init__(self) -> None:
        self._idle: list[_Decoder] = []
        self._lock = Lock()
        self._free = BoundedSemaphore(cpu_count())

    def header(self, data: bytes, max_pixels: int) -> ImageHeader:
        """Return the header of an image; see `image_header.read_header`."""
        request = {"wanted": "header", "max_pixels": max_pixels}
        answer = self._use(lambda decoder: decoder.ask(request, data))
        return ImageHeader(**answer["header"])

    def pixels(self, header: ImageHeader, data: bytes, **options: Any) -> "NDArray[np.uint8]":
        """Return the pixels of an image; see `pixel_decoding.decode`."""
        request = {"wanted": "pixels", "header": asdict(header), "options": options}

        def asked(decoder: _Decoder) -> "NDArray[np.uint8]":
            return decoder.pixels(decoder.ask(request, data)["shape"])

        return self._use(asked)

    def loads(self, data: bytes) -> bool:
        """Return whether Pillow loads a file without complaint; see `pixel_decoding.loads`."""
        return bool(self._use(lambda decoder: decoder.ask({"wanted": "check"}, data))["loads"])

    def close(self) -> None:
        """End the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()

    def _use(self, asked: Callable[[_Decoder], Made]) -> Made:
        """Ask a decoder, and another if it is killed: it may not be the fault of the image.

        Raises:
            NotAnImageError: the image cannot be decoded, or two decoders were killed over it.
        """
        with suppress(_KilledError):
            return self._ask(asked)
        try:
            return self._ask(asked)
        except _KilledError:
            message = "two decoders were killed over it"
            raise NotAnImageError(reason="decoder_killed", message=message) from None

    def _ask(self, asked: Callable[[_Decoder], Made]) -> Made:
        with self._free:
            decoder = self._take()  # which may be killed while it starts
            try:
                made = asked(decoder)
            except NotAnImageError:
                self._keep(decoder)
                raise
            except BaseException:  # interrupted: its answer must not be mistaken for the next one's
                decoder.end()
                raise
            self._keep(decoder)
            return made

    def _keep(self, decoder: _Decoder) -> None:
        if decoder.is_alive:
            with self._lock:
                self._idle.append(decoder)

    def _take(self) -> _Decoder:
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
        return decoder if decoder is not None and decoder.is_alive else _Decoder()


DECODERS: Final = DecoderPool()
"""The pool of this process; a fork gets its own."""

atexit.register(DECODERS.close)
os.register_at_fork(after_in_child=DECODERS.__init__)  # type: ignore[misc]  # starts afresh
