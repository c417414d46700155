"""The base classes of components. An author writes one method: `load`, `transform` or `write`.

A component is a class whose `__init__` takes the arguments of its spec, keyword-only. It sees Arrow
record batches, never a whole partition, so its memory is bounded by a batch:

- every batch it gets has the column `id` and the fields that its spec consumes;
- every batch it returns has the column `id` and the fields that its spec produces;
- a row it cannot process goes to `self.rejects`, and is left out of what it returns.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.dataset as pads

    from fondant_spec.dataset.manifest import Field


class Component(ABC):
    """What all components share. The executor sets the fields and `rejects` before `setup`."""

    uses_device: ClassVar[bool] = False
    """True for a step that drives a model: one worker process, which gets all cores."""

    partitions_at_once: int = 1
    """How many partitions a worker process takes at the same time: more than one for a step that
    waits for others. `setup` may set it. Each has a thread and a shallow copy of the component,
    with its own rejects; what `setup` made is shared by them."""

    batch_rows: int | None = None
    """The most rows in a batch; None leaves it to the executor, which bounds batches in bytes."""

    input_fields: Mapping[str, "Field"]
    """The consumed fields, by the component's own names, with the metadata their makers left."""

    output_fields: frozenset[str]
    """The names of the fields that this step is asked to produce, by the component's own names."""

    output_types: Mapping[str, pa.DataType]
    """The types that the fields in `output_fields` are to have."""

    rejects: Rejects
    """Where to put the rows of the present partition that cannot be processed."""

    def setup(self) -> None:  # noqa: B027 - most components need no set-up
        """Load what is needed once per worker process: a model, an index, a connection pool."""

    def teardown(self) -> None:  # noqa: B027 - nor anything to release
        """Release what `setup` took. Called once per worker process, also after an error."""

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return, per produced field, what made it: model id, revision, dimension, ...

        Called after the first partition. The values must be JSON, and the same in every worker.
        """
        return {}


class LoadComponent(Component):
    """Brings rows into the pipeline."""

    @abstractmethod
    def load(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the source, in an order that is the same each time.

        With a column `id` (see `row_id`) or without: then the rows are numbered as they come.
        """


class ArrowTransformComponent(Component):
    """Turns rows into rows, an Arrow record batch at a time."""

    @abstractmethod
    def transform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows made from `batch`.

        A step that explodes names the parent of each row in the spec's `previous_index` column,
        and may leave out `id`: then `<parent id>-<number>` is given.
        """

    def transform_batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition."""
        return map(self.transform, batches)


class StreamTransformComponent(Component):
    """Turns the rows of a partition into rows as one stream, to work ahead of device or network."""

    gathers: ClassVar[bool] = False
    """True for a step that, once all partitions are through, takes all its rows once more
    (`gather`): to de-duplicate or rank across partitions. For narrow rows only."""

    @abstractmethod
    def transform_batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition.

        The same rules as for `ArrowTransformComponent.transform`; batches need not correspond.
        """

    def gather(self, rows: "pads.Dataset") -> Iterator[pa.RecordBatch]:
        """Yield the final rows, given those of all partitions (ids included), in partition order.

        Only called where `gathers` is True. Rows that are left out go to `self.rejects`.
        """
        return iter(rows.to_batches())


class PandasTransformComponent(Component):
    """Turns rows into rows, a pandas frame at a time."""

    @abstractmethod
    def transform(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows made from `frame`, whose index is the row id.

        Rows left out of the result of a step that filters are recorded as filtered.
        """

    def transform_batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition."""
        for batch in batches:
            frame = self.transform(batch.to_pandas().set_index("id"))
            frame.index.name = "id"
            yield pa.RecordBatch.from_pandas(frame.reset_index(), preserve_index=False)


class WriteComponent(Component):
    """Takes rows out of the pipeline."""

    output_directory: str
    """A folder of the step's own, empty at the start: where it writes unless told a path."""

    @abstractmethod
    def write(self, batches: Iterator[pa.RecordBatch]) -> list[str]:
        """Write all rows of the dataset, and return the paths (URLs) of what was written.

        The step counts as done while these paths exist.
        """
