"""Estimate the memory and disk space that building an index takes, before it starts.

The time depends on the machine and on where the vectors are stored, so it is derived from the rate
of the build itself while it runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fondant_spec.cpu import cpu_count
from fondant_spec.plain_words import size
from image_toolkit.retrieval.build.build_inverted import process_bytes, processes
from image_toolkit.retrieval.build.index_kinds import Kind

_PROGRAM_BYTES: Final = 400 << 20
_CHUNKS_BYTES: Final = 1 << 30  # the most that is read and joined at once, in addition to the index


@dataclass(frozen=True)
class BuildEstimate:
    """The cost of building and searching an index of a kind, which includes `rows` and dimension.

    The metadata adds its own size. `memory_bytes` is the available memory, which limits the number
    of processes.
    """

    kind: Kind
    memory_bytes: int

    @property
    def building_bytes(self) -> int:
        """The peak memory of a build, without mapped files, which the system can evict.

        The phases of an inverted file (reading, training, shards, saving) follow one another.
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
        """The disk space that a build needs: for the vectors, the index, and its shards."""
        kind = self.kind
        shards = kind.file_bytes if kind.refined_by else 0
        return kind.rows * 4 * kind.dimension + shards + kind.file_bytes

    def lines(self) -> Iterator[str]:
        """Yield the lines to show before the build starts."""
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
