"""Which row of those that are alike stays."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from image_toolkit.copies.likeness import IntArray

KEEP: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "largest": (("original_width", "original_height"), ("image_width", "image_height")),
    "sharpest": (("blur",),),
    "nearest_to_seed": (("similarity",),),
    "best_score": (("aesthetic_score",),),
    "first": ((),),
}
"""The fields whose product says how good a row is, of those that there are the first."""


def best_first(rows: pa.Table, rule: Sequence[Sequence[str]]) -> IntArray:
    """Return the places of rows, the best first by a rule of `KEEP`, else in their order.

    Rows of which nothing is known come last.
    """
    names = next(names for names in rule if all(name in rows.column_names for name in names))
    values = (pc.fill_null(rows.column(name).cast(pa.float64()), np.nan) for name in names)
    worth = prod((column.to_numpy() for column in values), start=np.zeros(len(rows)) + 1)
    return np.argsort(-worth, kind="stable")  # which puts what is no number last
