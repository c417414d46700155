"""Removes duplicates and near-duplicates of images over the whole dataset."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from keeping import KEEP, best_first
from kinds import KINDS, Column, likenesses

from fondant_spec.component import GatherComponent, RowContext, SetupContext
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, InvalidArgumentError, did_you_mean
from fondant_spec.executor import execute
from image_toolkit.copies.groups import Groups, group_rows
from image_toolkit.copies.likeness import BoolArray, IntArray
from image_toolkit.gathered_vectors import Bad

logger = logging.getLogger(__name__)


class DeduplicateImages(GatherComponent):
    """Keeps one image of each group of similar ones."""

    def __init__(
        self,
        *,
        compare: list[str] | None = None,
        most_bits: int = 6,
        least_cosine: float = 0.96,
        keep: str = "largest",
        drop_copies: bool = True,
    ) -> None:
        for name in compare or ():
            if name not in KINDS:
                hint = did_you_mean(str(name), list(KINDS))
                msg = f"argument 'compare' may name {', '.join(KINDS)}, not {name!r}{hint}"
                raise InvalidArgumentError(msg)
        self._compare = compare
        self._most_bits = most_bits
        self._least_cosine = least_cosine
        self._keep = keep
        self._drops = drop_copies

    def setup(self, context: SetupContext) -> None:
        """Check that the fields for comparing and for choosing exist.

        Raises:
            InputDataError: a required field is missing.
        """
        there = context.input_fields
        wanted = list(KINDS) if self._compare is None else self._compare
        self._compared = {name: there[name] for name in wanted if name in there}
        missing = [name for name in self._compare or () if name not in there]
        if missing or not self._compared:
            msg = (
                f"deduplicate_images: the dataset has no field {' or '.join(missing or KINDS)}: "
                "add download_images, load_from_hub or image_embedding before it, or say which "
                "field it is with `consumes`."
            )
            raise InputDataError(msg)
        if not any(all(name in there for name in names) for names in KEEP[self._keep]):
            needed = " or ".join(" and ".join(names) for names in KEEP[self._keep])
            msg = f"deduplicate_images: keep={self._keep!r} needs the field {needed}."
            raise InputDataError(msg)
        self._model = there["embedding"].metadata if "embedding" in self._compared else {}

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the criteria of the groups."""
        limits = {"most_bits": self._most_bits, "least_cosine": self._least_cosine}
        about = {"compared_by": list(self._compared), **limits, "keep": self._keep}
        if model := self._model.get("model_id"):
            about["model_id"] = model
        return {"group_id": about}

    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows to keep, with their groups."""
        columns = {name: KINDS[name](field) for name, field in self._compared.items()}
        narrow = []
        for batch in batches:
            for name, column in columns.items():
                column.add(batch.column(name))
            narrow.append(batch.drop_columns(list(columns)))
        if not narrow:
            return
        rows = pa.Table.from_batches(narrow).combine_chunks()
        for name, column in columns.items():
            if column.unknown:
                logger.info("%d of %d rows have no %s", column.unknown, len(rows), name)
        order = best_first(rows, self._keep)
        ids = rows.column("id").combine_chunks()
        sound = np.ones(len(rows), np.bool_)
        for row, (reason, message) in _all_bad(columns).items():
            sound[row] = False
            context.rejects.add(ids[row].as_py(), reason, message)
        alike = likenesses(columns, self._most_bits, self._least_cosine)
        groups = group_rows(list(alike.values()), len(rows), order[sound[order]])
        stays = groups.stands_for == np.arange(len(rows))
        if self._drops:
            _reject(ids, groups, sound & ~stays, list(alike), context.rejects)
            sound &= stays
        yield _with_groups(ids, groups, np.flatnonzero(sound))


def _all_bad(columns: Mapping[str, Column]) -> Bad:
    """Return the rows that cannot be compared, each with its first problem."""
    bad: dict[int, tuple[str, str]] = {}
    for column in columns.values():
        bad = {**column.bad(), **bad}
    return dict(sorted(bad.items()))


def _reject(
    ids: pa.Array, groups: Groups, left: BoolArray, names: Sequence[str], rejects: Rejects
) -> None:
    """Record for each removed row which row represents it, and by which measure."""
    rows = np.flatnonzero(left)
    kept = ids.take(pa.array(groups.stands_for[rows])).to_pylist()
    lost = ids.take(pa.array(rows)).to_pylist()
    by = [names[number] for number in groups.by[rows]]
    for row_id, kept_id, name in zip(lost, kept, by, strict=True):
        rejects.filter(row_id, "duplicate_of", f"{kept_id}, by {name}")


def _with_groups(ids: pa.Array, groups: Groups, rows: IntArray) -> pa.RecordBatch:
    columns = {
        "id": ids.take(pa.array(rows)),
        "group_id": ids.take(pa.array(groups.group[rows])),
        "group_size": pa.array(groups.size[rows], pa.int32()),
    }
    return pa.RecordBatch.from_pydict(columns)


if __name__ == "__main__":
    execute(DeduplicateImages)
