"""The base classes of components. An author writes one method: `load`, `transform` or `write`.

A component is a class whose `__init__` takes the arguments of its spec, keyword-only. It sees Arrow
record batches, never a whole partition, so its memory is bounded by a batch:

- every batch it gets has the column `id` and the fields that its spec consumes;
- every batch it returns has the column `id` and the fields that its spec produces;
- a row it cannot process goes to `context.rejects`, and is left out of what it returns.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pyarrow as pa

from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.dataset.rejects import Rejects

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from fondant_spec.dataset.manifest import Field


FirstRows = Callable[[Sequence[str], int], dict[str, list[Any]]]
"""Returns the values of the fields with the given names in so many rows at most."""


EarlierRows = Callable[[], "Iterator[pa.RecordBatch]"]
"""Reads the rows of a partition that have come out already."""


def no_rows(names: Sequence[str], count: int) -> dict[str, list[Any]]:  # noqa: ARG001
    """Return the first rows where there are none."""
    return {name: [] for name in names}


def nothing_earlier() -> "Iterator[pa.RecordBatch]":
    """Yield the earlier rows of a partition that is begun."""
    return iter(())


@dataclass(frozen=True)
class SetupContext:
    """What a component is given once per worker process, before any rows.

    Attributes:
        input_fields: the consumed fields, by the component's own names, with the metadata that
            their makers left.
        output_fields: the fields that this step is asked to produce, by the component's own names.
        output_types: the types that these fields are declared to have.
        dataset_fields: all fields of the dataset, consumed or not, for an error to name them.
        output_directory: a folder of the step's own, empty at the start: where a component that
            writes puts its files, unless an argument names another place.
        unfinished_directory: a folder of the step's own, or a URL, that is there again after an
            interruption, and removed when the step is done: for the checkpoints of long work. What
            lies there may have been made from other rows under the same cache key.
        cache_key: of the step, which names its result.
        manifests: where the manifests lie that the step reads; `dataset.history` goes on from them.
        first_rows: reads the values of some fields in the first rows of all, as many at most as
            asked for. They are the same in every worker, so what is tried on them comes out alike.
    """

    input_fields: Mapping[str, "Field"]
    output_fields: frozenset[str]
    output_types: Mapping[str, pa.DataType]
    dataset_fields: Mapping[str, "Field"]
    output_directory: str
    unfinished_directory: str
    cache_key: str
    manifests: tuple[str, ...] = ()
    first_rows: FirstRows = no_rows


@dataclass(frozen=True)
class RowContext:
    """What a component is given beside the rows of a partition.

    Attributes:
        rejects: where to put the rows that cannot be processed.
        input_fields: the consumed fields of these rows, by the component's own names.
        output_fields: the fields that this step is asked to produce, by the component's own names.
        earlier: reads the rows of this partition, as the component once took them, that came out in
            an earlier attempt or run, and are not among those that it takes now. For a component
            that maps or filters and counts rows that belong together.
    """

    rejects: Rejects
    input_fields: Mapping[str, "Field"]
    output_fields: frozenset[str]
    earlier: EarlierRows = nothing_earlier


class Execution(Protocol):
    """What can be done with a component: one method for each kind."""

    def load(self) -> list[Checkpoint]:
        """Run a component that loads."""

    def transform(self, *, gathers: bool) -> list[Checkpoint]:
        """Run a component that transforms."""

    def gather(self) -> list[Checkpoint]:
        """Run a component that looks at the whole dataset at once."""

    def write(self) -> list[Checkpoint]:
        """Run a component that writes."""


class Component(ABC):
    """What all components share."""

    uses_device: ClassVar[bool] = False
    """True for a step that drives a model: one worker process, which gets all cores."""

    gathers: ClassVar[bool] = False
    """True for a step that, once all partitions are through, takes all its rows once more
    (`gather`): to de-duplicate or rank across partitions. For narrow rows only."""

    partitions_at_once: int = 1
    """How many partitions a step of one worker takes at the same time, each in a thread: more than
    one for a step that waits for others. `setup` may set it. They share what `setup` made."""

    batch_rows: int | None = None
    """The most rows in a batch; None leaves it to the executor, which bounds batches in bytes."""

    @classmethod
    @abstractmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Have the executor run the component as what it is."""

    def setup(self, context: SetupContext) -> None:  # noqa: B027 - most need no set-up
        """Load what is needed once per worker process: a model, an index, a connection pool."""

    def teardown(self) -> None:  # noqa: B027 - nor anything to release
        """Release what `setup` took. Called once per worker process, also after an error."""

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return, per produced field, what made it: model id, revision, dimension, ...

        Called when the first rows have come out, and later. The values must be JSON, and the same
        in every worker.
        """
        return {}


class LoadComponent(Component):
    """Brings rows into the pipeline."""

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Have the executor load."""
        return execution.load()

    @abstractmethod
    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the source, in an order that is the same each time.

        With a column `id` (see `row_id`) or without: then the rows are numbered as they come.
        """


class StreamTransformComponent(Component):
    """Turns the rows of a partition into rows as one stream, to work ahead of device or network."""

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Have the executor transform."""
        return execution.transform(gathers=cls.gathers)

    @abstractmethod
    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition; batches need not correspond.

        A step that explodes names the parent of each row in the spec's `previous_index` column,
        and may leave out `id`: then `<parent id>-<number>` is given.
        """

    def gather(self, rows: "pads.Dataset", context: RowContext) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """Yield the final rows, given those of all partitions (ids included), in partition order.

        Only called where `gathers` is True. Rows that are left out go to `context.rejects`.
        """
        return iter(rows.to_batches())


class ArrowTransformComponent(StreamTransformComponent):
    """Turns rows into rows, an Arrow record batch at a time."""

    @abstractmethod
    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the rows made from `batch`, by the rules of `transform_batches`."""

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition."""
        for batch in batches:
            yield self.transform(batch, context)


class GatherComponent(Component):
    """Looks at all rows of the dataset at once: to leave out copies, to rank, to draw from groups.

    It runs in one process, and may hold what is narrow; of an image, which is not, a hash at most.
    Its spec maps or filters. What it leaves out without a reject is recorded as filtered.
    """

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Have the executor gather."""
        return execution.gather()

    @abstractmethod
    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that stay with what is produced for them, in the order in which they came.

        `batches` are those of all partitions. The batches returned need not correspond to them.
        """


class WriteComponent(Component):
    """Takes rows out of the pipeline."""

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Have the executor write."""
        return execution.write()

    @abstractmethod
    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write all rows of the dataset, and return the paths (URLs) of what was written.

        The step counts as done while these paths exist, and those that are files are unchanged. If
        one is an `export.json` (see `written_files`), so must be all files that it lists.
        """
