"""Splits rows into training and validation."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fondant_spec.component import GatherComponent, RowContext
from fondant_spec.executor import execute
from image_toolkit.blank_texts import is_blank
from image_toolkit.training.bad_rows import BadRowError
from image_toolkit.training.linked_rows import Link, LinkedRows, drawn_share
from image_toolkit.training.splits import (
    CLASS_PROMPT,
    REGULARIZATION,
    SPLIT,
    TRAIN,
    VALIDATION,
    chosen_split,
    none_held_out,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    """A row with a given split, or with the values to draw one by."""

    id: str
    split: str | None
    link: Link | None


class SplitRows(GatherComponent):
    """Assigns each row to training or validation.

    It reads all rows first, since an image may have a group in one row and none in another. Of an
    image, only the hash is held.
    """

    def __init__(self, *, validation_fraction: float = 0.1) -> None:
        self._fraction = validation_fraction
        self._counts: Counter[str] = Counter()

    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the splits of the rows that have one, or have the values to draw one by."""
        linked, rows = LinkedRows(), list[_Row]()
        for row in _rows(batches):
            try:
                rows.append(_read(row, linked))
            except BadRowError as bad:
                context.rejects.add(row["id"], bad.reason, bad.message)
        chosen: dict[Link, set[str]] = defaultdict(set)
        for one in rows:
            if one.link and one.split:
                chosen[linked.root(one.link)].add(one.split)
        self._tell(chosen)
        found = [one.split or self._split(linked.root(one.link or b""), chosen) for one in rows]
        self._counts.update(found)
        columns = {"id": pa.array([one.id for one in rows], pa.string())}
        yield pa.RecordBatch.from_pydict({**columns, SPLIT: pa.array(found, pa.string())})

    def _split(self, root: Link, chosen: Mapping[Link, set[str]]) -> str:
        """Return the split that was chosen for a row's linked rows, or else the drawn one."""
        sides = chosen.get(root, set())
        if len(sides) == 1:
            return next(iter(sides))
        return VALIDATION if drawn_share(root) < self._fraction else TRAIN

    def _tell(self, chosen: Mapping[Link, set[str]]) -> None:
        if torn := sum(len(sides) > 1 for sides in chosen.values()):
            logger.warning(
                "Groups of images that are the same, or all but the same, with some to train on "
                "and some held out, as somebody has chosen: %s.",
                f"{torn:,}",
            )

    def teardown(self) -> None:
        """Log how many rows each split has."""
        if self._counts:
            splits = dict.fromkeys([TRAIN, VALIDATION, *self._counts])
            told = (f"{split} {self._counts[split]:,}" for split in splits)
            logger.info("Rows by split: %s.", ", ".join(told))
        if nothing := none_held_out(self._counts, self._fraction):
            logger.warning("%s", nothing)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the held-out share."""
        return {SPLIT: {"validation_fraction": self._fraction}}


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Yield rows one by one, since each has an image."""
    for batch in batches:
        for place in range(len(batch)):
            yield batch.slice(place, 1).to_pylist()[0]


def _read(row: Mapping[str, Any], linked: LinkedRows) -> _Row:
    """Return the relevant part of a row; class images are linked with no others.

    Raises:
        BadRowError: its split is unknown, or there is nothing to draw one by.
    """
    split = chosen_split(row)
    if not is_blank(row.get(CLASS_PROMPT)):
        return _Row(row["id"], REGULARIZATION, None)
    link = linked.add(row)
    if split is None and link is None:
        raise BadRowError(reason="no_image", message="nothing to draw a split by")
    return _Row(row["id"], split, link)


if __name__ == "__main__":
    execute(SplitRows)
