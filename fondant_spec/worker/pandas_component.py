"""The base class of components that take and return pandas frames."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.errors import CardinalityError
from fondant_spec.worker.base_components import RowContext, StreamTransformComponent

if TYPE_CHECKING:
    import pandas as pd

_LARGEST_WHOLE: Final = 1 << 53
"""Up to here, every integer is exact as a float."""


class PandasTransformComponent(StreamTransformComponent):
    """Transforms rows, one pandas frame at a time."""

    @abstractmethod
    def transform(self, frame: "pd.DataFrame", context: RowContext) -> "pd.DataFrame":
        """Return the rows made from `frame`, whose index is the row id.

        Rows missing from the result of a filter step are recorded as filtered. Columns of `frame`
        that are returned unchanged need not be dropped.
        """

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition."""
        for batch in batches:
            given = _as_frame(batch)
            frame = _without_unchanged(self.transform(given.copy(), context), given, context)
            frame.index.name = "id"
            table = pa.Table.from_pandas(frame.reset_index(), preserve_index=False)
            yield from table.combine_chunks().to_batches()


def _as_frame(batch: pa.RecordBatch) -> "pd.DataFrame":
    """Return a batch as a frame.

    Integers with nulls become floats, as usual in pandas, unless a float cannot represent them;
    those stay integers.
    """
    import pandas as pd  # noqa: PLC0415 - takes a second, and few components need it

    nullable = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    exact = {
        column.type: nullable[column.type]
        for column in batch.columns
        if column.type in nullable and column.null_count and not _fits_floats(column)
    }
    frame: pd.DataFrame = batch.to_pandas(types_mapper=exact.get).set_index("id")
    return frame


def _fits_floats(column: pa.Array) -> bool:
    bounds = pc.min_max(column).as_py()
    return all(value is None or abs(value) <= _LARGEST_WHOLE for value in bounds.values())


def _without_unchanged(
    frame: "pd.DataFrame", given: "pd.DataFrame", context: RowContext
) -> "pd.DataFrame":
    """Drop the columns that are not produced and were returned unchanged.

    Raises:
        CardinalityError: it is not a frame, an id is a duplicate or new, or a column that the step
            does not produce is changed or new.
    """
    if not isinstance(frame, type(given)):
        msg = f"`transform` returned a {type(frame).__name__} and no frame; end it with `return`."
        raise CardinalityError(msg)
    if not frame.index.is_unique or not frame.index.isin(given.index).all():
        wrong = [*frame.index[frame.index.duplicated()], *frame.index.difference(given.index)]
        msg = f"the component returned id {wrong[0]!r} twice, or was not given it; keep the index."
        raise CardinalityError(msg)
    extra = frame.columns.difference([*context.output_fields])
    changed = [
        name
        for name in extra
        if name not in given or not frame[name].equals(given[name].reindex(frame.index))
    ]
    if changed:
        msg = (
            f"the component returned {changed[0]!r}, changed or new, which its spec does not "
            "produce; declare the field or leave it out."
        )
        raise CardinalityError(msg)
    return frame.drop(columns=extra)
