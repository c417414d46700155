"""Which row of those that are alike stays."""

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
"""The fields whose product says how good a row is, of those that there are the first."""


def best_first(rows: pa.Table, keep: str) -> IntArray:
    """Return the places of rows, the best first by a rule of `KEEP`, else in their order.

    Rows of which nothing is known come last. A border counts against the pixels twice: it is none
    of the picture, and of two copies with as much of that, the one without a frame is to stay.
    """
    there = rows.column_names
    names = next(names for names in KEEP[keep] if all(name in there for name in names))
    worth = prod((_numbers(rows, name, np.nan) for name in names), start=np.ones(len(rows)))
    if keep == _LARGEST and _BORDER in there:
        worth *= (1 - _numbers(rows, _BORDER, 0)) ** 2
    return np.argsort(-worth, kind="stable")  # which puts what is no number last


def _numbers(rows: pa.Table, name: str, unknown: float) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(rows.column(name).cast(pa.float64()), unknown))
