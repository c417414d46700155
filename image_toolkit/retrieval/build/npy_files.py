"""Write `.npy` files so that a full disk is reported."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as array_format
from numpy.typing import NDArray


def write_npy(file: Path, array: NDArray[Any]) -> None:
    """Write an array; `np.save` bypasses Python's file layer, and does not say why it failed."""
    rows = np.ascontiguousarray(array)
    with file.open("wb") as stream:
        header = array_format.header_data_from_array_1_0(rows)
        array_format.write_array_header_1_0(stream, header)
        stream.write(rows.data)
