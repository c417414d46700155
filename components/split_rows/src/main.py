"""Draws which rows are held out for validation."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute
from image_toolkit.training.bad_rows import BadRowError
from image_toolkit.training.splits import SPLIT, TRAIN, VALIDATION, none_held_out, split_of

logger = logging.getLogger(__name__)

_SCHEMA = pa.schema([("id", pa.string()), (SPLIT, pa.string())])


class SplitRows(ArrowTransformComponent):
    """Adds to each row whether a model is trained on it, or validated."""

    def __init__(self, *, validation_fraction: float = 0.1) -> None:
        self._fraction = validation_fraction
        self._counts: Counter[str] = Counter()

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the splits of the rows that have one, or have what it is drawn by."""
        rows = []
        for row in batch.to_pylist():
            try:
                rows.append({"id": row["id"], SPLIT: split_of(row, self._fraction)})
            except BadRowError as bad:
                context.rejects.add(row["id"], bad.reason, bad.message)
        self._counts.update(row[SPLIT] for row in rows)
        return pa.RecordBatch.from_pylist(rows, _SCHEMA)

    def teardown(self) -> None:
        """Tell how many rows fell on each side."""
        if self._counts:
            splits = dict.fromkeys([TRAIN, VALIDATION, *self._counts])
            told = (f"{split} {self._counts[split]:,}" for split in splits)
            logger.info("Rows by split: %s.", ", ".join(told))
        if nothing := none_held_out(self._counts, self._fraction):
            logger.warning("%s", nothing)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which share was held out."""
        return {SPLIT: {"validation_fraction": self._fraction}}


if __name__ == "__main__":
    execute(SplitRows)
