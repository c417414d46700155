"""Keeps groups of rows from outweighing one another."""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from grouping import clusters, field_of, host_of

from fondant_spec.component import GatherComponent, RowContext, SetupContext
from fondant_spec.dataset.mentioned_fields import is_scalar
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, InvalidArgumentError, did_you_mean
from fondant_spec.executor import execute
from image_toolkit.gathered_vectors import Bad, GatheredVectors, dimension_of

logger = logging.getLogger(__name__)

EMBEDDING = "embedding"
REPEATS = "repeats"


@dataclass(frozen=True)
class Row:
    """A row as far as it counts here: what group it is in (None for no group), and its worth."""

    id: str
    group: Hashable | None
    worth: tuple[float, str]


class BalanceRows(GatherComponent):
    """Leaves out what a group has too many of, or says how often each row is to be repeated."""

    def __init__(
        self,
        *,
        by: str | None = None,
        clusters: int | None = None,
        most: int | None = None,
        best: str | None = None,
        most_repeats: int = 10,
    ) -> None:
        if (by is None) == (clusters is None):
            msg = "balance_rows: give either `by`, a field, or `clusters`, their number."
            raise InvalidArgumentError(msg)
        self._by, self._hosts = field_of(by or "")
        self._clusters = clusters
        self._most = most
        self._best = best
        self._most_repeats = most_repeats

    def setup(self, context: SetupContext) -> None:
        """Make sure that the fields are there.

        Raises:
            InputDataError: one is not, or is of a type that it cannot have.
            InvalidArgumentError: the step would do nothing, or produces something else.
        """
        if self._by:
            _check_groups(self._by, _type_of(self._by, context), hosts=self._hosts)
        if self._best and not _is_number(_type_of(self._best, context)):
            msg = f"balance_rows: best={self._best!r} is no field of numbers."
            raise InputDataError(msg)
        if self._clusters:
            _type_of(EMBEDDING, context)
        self._dimension = dimension_of(context.input_fields[EMBEDDING]) if self._clusters else None
        self._repeats = REPEATS in context.output_fields
        if context.output_fields - {REPEATS} or (self._most is None and not self._repeats):
            msg = (
                "balance_rows: give `most`, or have the step produce `repeats`, as in "
                "produces={'repeats': 'int32'}; it produces nothing else."
            )
            raise InvalidArgumentError(msg)

    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that stay."""
        rows = self._read(batches, context.rejects)
        groups: dict[Hashable, list[Row]] = defaultdict(list)
        for row in rows:
            if row.group is not None:
                groups[row.group].append(row)
        lost = {}
        for group, members in groups.items() if self._most else ():
            members.sort(key=lambda row: row.worth)
            for row in members[self._most :]:
                lost[row.id] = f"{group}: {len(members)} rows, of which {self._most} stay"
        for row_id, message in lost.items():
            context.rejects.filter(row_id, "over_represented", message)
        kept = [row for row in rows if row.id not in lost]
        logger.info("%d groups, of which the largest has %d rows", len(groups), _largest(groups))
        columns = {"id": pa.array([row.id for row in kept], pa.string())}
        if self._repeats:
            columns[REPEATS] = pa.array(self._repeated(kept), pa.int32())
        yield pa.RecordBatch.from_pydict(columns)

    def _repeated(self, rows: list[Row]) -> list[int]:
        """Return how often each row is to be seen for its group to weigh as much as the largest."""
        sizes = Counter(row.group for row in rows if row.group is not None)
        largest = max(sizes.values(), default=1)
        wanted = {group: round(largest / size) for group, size in sizes.items()}
        return [min(wanted.get(row.group, 1), self._most_repeats) for row in rows]

    def _read(self, batches: Iterator[pa.RecordBatch], rejects: Rejects) -> list[Row]:
        """Return the rows that can be in a group, or are in none; the others are rejected."""
        ids: list[str] = []
        groups: list[Hashable | None] = []
        worth: list[float] = []
        vectors = GatheredVectors(self._dimension, np.float32)
        for batch in batches:
            ids += batch.column("id").to_pylist()
            if self._by:
                values = _without_nan(batch.column(self._by)).to_pylist()
                groups += map(host_of, values) if self._hosts else values
            else:
                vectors.add(_checked(batch.column(EMBEDDING)))
            scores = batch.column(self._best) if self._best else pa.nulls(len(batch), pa.float64())
            filled = pc.fill_null(scores.cast(pa.float64()), -np.inf).to_numpy()
            worth += np.nan_to_num(filled, nan=-np.inf, neginf=-np.inf).tolist()
        bad: Bad = {}
        if self._clusters:
            groups, bad = _clustered(vectors, self._clusters)
        for row, (reason, message) in bad.items():
            rejects.add(ids[row], reason, message)
        order = [(-score, _drawn(row_id)) for score, row_id in zip(worth, ids, strict=True)]
        found = [Row(*row) for row in zip(ids, groups, order, strict=True)]
        return [row for number, row in enumerate(found) if number not in bad]


def _clustered(vectors: GatheredVectors, most: int) -> tuple[list[Hashable | None], Bad]:
    """Return the cluster of each row, and what is wrong with those that are in none."""
    joined, known, bad = vectors.joined()
    groups: list[Hashable | None] = [None] * len(joined)
    rows = np.flatnonzero(known)
    if len(rows):
        found = clusters(joined[rows], min(most, len(rows)))
        for row, cluster in zip(rows.tolist(), found.tolist(), strict=True):
            groups[row] = cluster
    return groups, bad


def _checked(column: pa.Array) -> pa.Array:
    """Return vectors, of which none may be null."""
    if column.null_count:
        msg = f"balance_rows: {column.null_count} rows have no vector; filter them out before."
        raise InputDataError(msg)
    return column


def _without_nan(values: pa.Array) -> pa.Array:
    """Return values with null for a number that is none (NaN), as filter_rows has it."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def _type_of(name: str, context: SetupContext) -> pa.DataType:
    """Return the type of a field of the dataset, consumed or not.

    Raises:
        InputDataError: there is none of this name.
    """
    found = {**context.dataset_fields, **context.input_fields}
    if name not in found:
        hint = did_you_mean(name, list(context.dataset_fields))
        msg = f"balance_rows: there is no field {name!r} to go by{hint}"
        raise InputDataError(msg)
    return found[name].type


def _check_groups(name: str, data_type: pa.DataType, *, hosts: bool) -> None:
    """Check that rows can be grouped by a field; by hosts, if it is a text.

    Raises:
        InputDataError: they cannot.
    """
    if hosts and not (pa.types.is_string(data_type) or pa.types.is_large_string(data_type)):
        msg = f"balance_rows: by='host({name})' needs a field of URLs, and {name!r} is {data_type}."
        raise InputDataError(msg)
    if not is_scalar(data_type):
        msg = (
            f"balance_rows: by={name!r} is {data_type}; rows are grouped by a field that holds one "
            "text, number, time or truth value a row."
        )
        raise InputDataError(msg)


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_floating(data_type) or pa.types.is_integer(data_type))


def _drawn(row_id: str) -> str:
    """Return what a row is drawn by: as good as at random, and the same each time."""
    return hashlib.sha256(row_id.encode()).hexdigest()


def _largest(groups: dict[Hashable, list[Row]]) -> int:
    return max(map(len, groups.values()), default=0)


if __name__ == "__main__":
    execute(BalanceRows)
