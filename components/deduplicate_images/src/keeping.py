"""Choosing which of several duplicates to keep."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from image_toolkit.copies.likeness import IntArray

_LARGEST: Final = "largest"
_BORDER: Final = "border"

KEEP: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    _LARGEST: (("original_width", "original_height"), ("image_width", "image_height")),
    "sharpest": (("blur",),),
    "nearest_to_seed": (("similarity",),),
    "best_score": (("aesthetic_score",),),
    "first": ((),),
}
"""Alternatives of fields whose product is the quality of a row; the first existing ones count."""


def best_first(rows: pa.Table, keep: str) -> IntArray:
    """Return the positions of rows, best first by a rule of `KEEP`, ties in input order.

    Rows with unknown quality come last. A border is subtracted from the pixels twice: it is not
    part of the picture, and of two copies with equally much picture, the one without a frame is
    kept.
    """
    there = rows.column_names
    names = next(names for names in KEEP[keep] if all(name in there for name in names))
    worth = prod((_numbers(rows, name, np.nan) for name in names), start=np.ones(len(rows)))
    if keep == _LARGEST and _BORDER in there:
        worth *= (1 - _numbers(rows, _BORDER, 0)) ** 2
    return np.argsort(-worth, kind="stable")  # sorts NaN last


def _numbers(rows: pa.Table, name: str, unknown: float) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(rows.column(name).cast(pa.float64()), unknown))
