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
"""Returns the values of the named fields in the first rows, up to the given number."""


EarlierRows = Callable[[], "Iterator[pa.RecordBatch]"]
"""Reads the rows of a partition that came out earlier."""


def no_rows(names: Sequence[str], count: int) -> dict[str, list[Any]]:  # noqa: ARG001
    """Return the first rows of a step without input."""
    return {name: [] for name in names}


def nothing_earlier() -> "Iterator[pa.RecordBatch]":
    """Yield the earlier rows of a partition that has none."""
    return iter(())


@dataclass(frozen=True)
class SetupContext:
    """What a component is given once per worker process, before any rows.

    Attributes:
        input_fields: the consumed fields, by the component's own names, with the metadata of the
            steps that made them.
        output_fields: the fields that this step has to produce, by the component's own names.
        output_types: the declared types of these fields.
        dataset_fields: all fields of the dataset, consumed or not, for use in error messages.
        output_directory: a folder of the step's own, empty at the start, for the files of a
            component that writes, unless an argument names another place.
        unfinished_directory: a folder or URL of the step's own that survives an interruption, and
            is removed when the step is done: for checkpoints of long work. Its content may have
            been made from other rows under the same cache key.
        cache_key: of the step, which identifies its result.
        manifests: locations of the manifests that the step reads; `dataset.history` starts there.
        first_rows: reads the values of some fields in the first rows of the whole dataset, up to a
            number. They are the same in every worker, so decisions based on them agree.
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
    """What a component is given alongside the rows of a partition.

    Attributes:
        rejects: where to put the rows that cannot be processed.
        input_fields: the consumed fields of these rows, by the component's own names.
        output_fields: the fields that this step has to produce, by the component's own names.
        earlier: reads the input rows of this partition whose results are kept from an earlier
            attempt or run, and which are not among those processed now. For a component that maps
            or filters and counts rows that belong together.
    """

    rejects: Rejects
    input_fields: Mapping[str, "Field"]
    output_fields: frozenset[str]
    earlier: EarlierRows = nothing_earlier


class Execution(Protocol):
    """What the executor does with a component: one method for each kind."""

    def load(self) -> list[Checkpoint]:
        """Run a component that loads."""

    def transform(self, *, gathers: bool) -> list[Checkpoint]:
        """Run a component that transforms."""

    def gather(self) -> list[Checkpoint]:
        """Run a component that processes the whole dataset at once."""

    def write(self) -> list[Checkpoint]:
        """Run a component that writes."""


class Component(ABC):
    """What all components share."""

    uses_device: ClassVar[bool] = False
    """True for a step that runs a model: one worker process, which gets all cores."""

    gathers: ClassVar[bool] = False
    """True for a step that processes all its rows a second time, after all partitions (`gather`),
    to de-duplicate or rank across partitions. For narrow rows only.
    """

    partitions_at_once: int = 1
    """How many partitions a single worker processes concurrently, in threads: more than one for a
    step that waits for I/O. `setup` may set it. The threads share what `setup` made.
    """

    batch_rows: int | None = None
    """The most rows per batch; None leaves it to the executor, which bounds batches in bytes."""

    @classmethod
    @abstractmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Dispatch to the executor's method for this kind of component."""

    def setup(self, context: SetupContext) -> None:  # noqa: B027 - most need no set-up
        """Load what is needed once per worker process: a model, an index, a connection pool."""

    def teardown(self) -> None:  # noqa: B027 - nor anything to release
        """Release what `setup` took. Called once per worker process, also after an error."""

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return metadata per produced field about its origin: model id, revision, dimension, ...

        Called when the first rows have come out, and later. The values must be JSON, and the same
        in every worker.
        """
        return {}


class LoadComponent(Component):
    """Loads rows into the pipeline."""

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Run `Execution.load`."""
        return execution.load()

    @abstractmethod
    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the source, in a deterministic order.

        A column `id` (see `row_id`) is optional: without it, rows are numbered in order.
        """


class StreamTransformComponent(Component):
    """Transforms the rows of a partition as one stream, to work ahead of device or network."""

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Run `Execution.transform`."""
        return execution.transform(gathers=cls.gathers)

    @abstractmethod
    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows made from the batches of one partition; batches need not correspond.

        A step that explodes names the parent of each row in the spec's `previous_index` column,
        and may leave out `id`, which then becomes `<parent id>-<number>`.
        """

    def gather(self, rows: "pads.Dataset", context: RowContext) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """Yield the final rows, given those of all partitions (ids included), in partition order.

        Only called if `gathers` is True. Rows that are left out go to `context.rejects`.
        """
        return iter(rows.to_batches())


class ArrowTransformComponent(StreamTransformComponent):
    """Transforms rows, one Arrow record batch at a time."""

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
    """Processes all rows of the dataset at once: to de-duplicate, rank or sample from groups.

    It runs in one process, and may hold narrow columns in memory; of an image, at most a hash. Its
    spec maps or filters. Rows it leaves out without a reject are recorded as filtered.
    """

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Run `Execution.gather`."""
        return execution.gather()

    @abstractmethod
    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows to keep, with the fields produced for them, in input order.

        `batches` are those of all partitions. The returned batches need not correspond to them.
        """


class WriteComponent(Component):
    """Writes rows to outside the pipeline."""

    @classmethod
    def run_in(cls, execution: Execution) -> list[Checkpoint]:
        """Run `Execution.write`."""
        return execution.write()

    @abstractmethod
    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write all rows of the dataset, and return the paths (URLs) of what was written.

        The step counts as done while these paths exist, and those that are files are unchanged. If
        one is an `export.json` (see `written_files`), this includes all files that it lists.
        """
