"""Access to the cells of an Arrow column without copies.

Arrow copies a cell to return it, and once more to convert it for Python: for images, that is
noticeable.
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
        """Return a cell as a Python value; None if it is null."""
        if not self._is_bytes:
            return self._column[number].as_py()
        there = self.view(number)
        return None if there is None else bytes(there)

    def view(self, number: int) -> memoryview | None:
        """Return a view of a binary cell, without a copy; None if it is null."""
        if not self._valid[number]:
            return None
        return self._data[self._offsets[number] : self._offsets[number + 1]]
