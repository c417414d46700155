"""Restoring row order for results that arrive in any order."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

from pictures import Picture

_MOST_BYTES: Final = 64 << 20


class Reorder:
    """Holds pictures until all rows before them are settled.

    Beyond 64 MB, their bytes are spilled to a temporary file, so that one slow row cannot fill the
    memory.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._next = 0
        self._held_bytes = 0
        self._waiting: dict[int, Picture | _Spilled | None] = {}
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def put(self, position: int, picture: Picture | None) -> Iterator[Picture]:
        """Settle a row, with None if it gives no picture; yield the pictures that are now due."""
        self._waiting[position] = picture if picture is None else self._hold(picture)
        while self._next in self._waiting:
            held = self._waiting.pop(self._next)
            self._next += 1
            if held is not None:
                yield self._recall(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _hold(self, picture: Picture) -> "Picture | _Spilled":
        data = picture.rendered.data
        if self._held_bytes + len(data) <= self._most_bytes:
            self._held_bytes += len(data)
            return picture
        offset = self._file.seek(0, io.SEEK_END)
        self._file.write(data)
        return _Spilled(_with_data(picture, b""), offset, len(data))

    def _recall(self, held: "Picture | _Spilled") -> Picture:
        if isinstance(held, _Spilled):
            self._file.seek(held.offset)
            return _with_data(held.picture, self._file.read(held.length))
        self._held_bytes -= len(held.rendered.data)
        return held


@dataclass(frozen=True)
class _Spilled:
    """A picture whose bytes are in the file."""

    picture: Picture
    offset: int
    length: int


def _with_data(picture: Picture, data: bytes) -> Picture:
    return replace(picture, rendered=replace(picture.rendered, data=data))
