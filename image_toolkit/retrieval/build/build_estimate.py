"""What building an index will take, told before it starts: from rates that were measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt
from typing import Final

from fondant_spec.cpu import cpu_count
from fondant_spec.plain_words import duration, size
from image_toolkit.retrieval.build.build_inverted import process_bytes, processes
from image_toolkit.retrieval.build.index_kinds import Kind

_ROWS: Final = 1_000_000
_DIMENSION: Final = 512
_CORES: Final = 2
_READING: Final = 31.0
_INDEXING: Final = {"flat": 0.0, "hnsw": 123.0, "ivf_pq": 65.0}
"""Seconds to read, normalise and measure, and to index, for the rows, dimensions and cores above.

`python benchmarks/retrieval.py` prints them; see Retrieval in benchmarks/RESULTS.md. That of
`ivf_pq` is of its processor time, since the machine was not its own.
"""

_PROGRAM_BYTES: Final = 400 << 20
_CHUNKS_BYTES: Final = 1 << 30  # the most that is read and joined at once, beside the index


@dataclass(frozen=True)
class BuildEstimate:
    """What building and searching an index of one kind takes; `rows` and dimension are the kind's.

    Bytes of whatever metadata there is, and the time to embed images, come on top. Of the memory
    there is, `memory_bytes`, processes take their part.
    """

    kind: Kind
    memory_bytes: int

    @property
    def seconds(self) -> float:
        """How long building takes on this machine, if it has nothing else to do.

        Reading grows with the rows, an inverted file with their power of 1.5 (its lists are more,
        too), a graph with the rows and their logarithm.
        """
        rows = max(self.kind.rows, 1)
        growth = {"ivf_pq": sqrt(rows / _ROWS), "hnsw": log(rows + 1) / log(_ROWS)}
        indexing = _INDEXING[self.kind.name] * growth.get(self.kind.name, 1.0)
        values = rows / _ROWS * self.kind.dimension / _DIMENSION
        cores: int = cpu_count()
        return (_READING + indexing) * values * _CORES / cores

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
            f"{kind.dimension}, in about {duration(max(1, self.seconds))} on {cpu_count()} cores, "
            f"with up to {size(self.building_bytes)} of memory beside mapped files, and "
            f"{size(self.disk_bytes)} of disk"
        )
        yield (
            f"  the index: {size(kind.file_bytes)} beside its metadata; a search holds "
            f"{size(kind.memory_bytes)} in memory and maps the rest"
        )
