"""The memory and disk that building an index will take, told before it starts.

How long it will take depends on the machine and on where the vectors lie, so that is told by the
rate of the build itself, as it goes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fondant_spec.cpu import cpu_count
from fondant_spec.plain_words import size
from image_toolkit.retrieval.build.build_inverted import process_bytes, processes
from image_toolkit.retrieval.build.index_kinds import Kind

_PROGRAM_BYTES: Final = 400 << 20
_CHUNKS_BYTES: Final = 1 << 30  # the most that is read and joined at once, beside the index


@dataclass(frozen=True)
class BuildEstimate:
    """What building and searching an index of one kind takes; `rows` and dimension are the kind's.

    Bytes of whatever metadata there is come on top. Of the memory there is, `memory_bytes`,
    processes take their part.
    """

    kind: Kind
    memory_bytes: int

    @property
    def building_bytes(self) -> int:
        """The most memory that building takes, beside mapped files, which the system lets go.

        An inverted file is read, learnt, made in shards and saved one after the other.
        """
        kind = self.kind
        vectors = 4 * kind.dimension * kind.rows
        reading = min(_CHUNKS_BYTES, 3 * vectors)
        if not kind.refined_by:
            return _PROGRAM_BYTES + reading + kind.file_bytes
        learning = 2 * 4 * kind.dimension * kind.training_rows
        at_once = processes(kind.dimension, self.memory_bytes)
        making = min(at_once * process_bytes(kind.dimension), 3 * vectors)
        return _PROGRAM_BYTES + max(reading, learning, making, kind.memory_bytes)

    @property
    def disk_bytes(self) -> int:
        """The room that building needs on the disk: the vectors, the index, and its shards."""
        kind = self.kind
        shards = kind.file_bytes if kind.refined_by else 0
        return kind.rows * 4 * kind.dimension + shards + kind.file_bytes

    def lines(self) -> Iterator[str]:
        """Yield what to tell before the build starts."""
        kind = self.kind
        yield (
            f"to build: {kind.name} ({kind.factory_key}) of {kind.rows} vectors of "
            f"{kind.dimension}, on {cpu_count()} cores, with up to {size(self.building_bytes)} of "
            f"memory beside mapped files, and {size(self.disk_bytes)} of disk"
        )
        yield (
            f"  the index: {size(kind.file_bytes)} beside its metadata; a search holds "
            f"{size(kind.memory_bytes)} in memory and maps the rest"
        )
