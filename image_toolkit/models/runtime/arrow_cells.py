"""The cells of a column as they lie in Arrow's memory.

Arrow copies a cell to hand it out, and once more to make it Python's: images are large enough for
that to count.
"""

from typing import Any

import numpy as np
import pyarrow as pa


class Cells:
    """A column whose cells can be read one at a time."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column
        self._is_bytes = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
        if self._is_bytes:
            _, offsets, data = column.buffers()
            kind = np.int32 if pa.types.is_binary(column.type) else np.int64
            there = np.frombuffer(offsets, kind) if offsets else np.zeros(1, kind)
            self._offsets = there[column.offset : column.offset + len(column) + 1].tolist()
            self._data = memoryview(data) if data else memoryview(b"")
            self._valid = column.is_valid().to_pylist()

    def value(self, number: int) -> Any:
        """Return a cell as Python's; None if it is null."""
        if not self._is_bytes:
            return self._column[number].as_py()
        there = self.view(number)
        return None if there is None else bytes(there)

    def view(self, number: int) -> memoryview | None:
        """Return a cell of bytes where it is, without a copy; None if it is null."""
        if not self._valid[number]:
            return None
        return self._data[self._offsets[number] : self._offsets[number + 1]]
