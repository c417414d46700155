"""Search in a FAISS index file, memory-mapped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.hits import FloatArray, IntArray
from image_toolkit.retrieval.search.mapped_lists import MappedIndex
from image_toolkit.retrieval.search.neighbours import Neighbours, run_length

_ON_DISK_NAME: Final = "populated.index"
_MEMORY_MAPPED: Final = faiss.IO_FLAG_MMAP_IFC
_ON_DISK: Final = faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_READ_ONLY
_DAMAGE: Final = (RuntimeError, MemoryError, AssertionError, ValueError, IndexError, OSError)
"""What FAISS raises for a damaged file, when it is read or first searched."""

_SAMPLE: Final = 64
_NO_LENGTH: Final = 0.01  # squared; a unit vector has 1, however coarsely it is kept
_TABLES: Final = 2 << 30  # bytes: the most that FAISS precomputes when it reads an index


class FaissSearch:
    """Finds neighbours with any FAISS index of normalised vectors.

    Args:
        path: An index file; or a folder with `populated.index` beside its inverted lists, which is
            clip-retrieval's layout of an index larger than memory; or the folder of a
            `MappedIndex`.
        options: FAISS search options such as `nprobe=64` or `efSearch=128`; None keeps those saved
            in the index.

    Raises:
        InputDataError: the file is not a FAISS index, or its similarity is not a cosine.
        InvalidArgumentError: the index has no such options.
    """

    def __init__(self, path: Path, options: str | None = None) -> None:
        self._path = path
        self._whole = _read(path)  # owns the index inside
        self._index, self._ids = _without_ids(self._whole, path)
        self.dimension: int = self._index.d
        self.rows: int = self._index.ntotal
        if self._index.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
            msg = (
                f"{path}: must be an index by inner product or L2 distance, so as to give cosines."
            )
            raise InputDataError(msg)
        if options is not None:
            self._set_options(options)

    def neighbours(
        self,
        queries: FloatArray,
        count: int,
        *,
        with_vectors: bool,
    ) -> Iterator[Neighbours]:
        """Yield the `count` nearest rows of each query, in runs of queries."""
        step = run_length(count, self.dimension) if with_vectors else max(1, len(queries))
        for start in range(0, len(queries), step):
            run = np.ascontiguousarray(queries[start : start + step])
            vectors = None
            if with_vectors:
                scores, ids, vectors = self._with_vectors(run, count)
            else:
                scores, ids = self._index.search(run, count)
            if self._ids is not None:
                ids = np.where(ids >= 0, self._ids[ids], -1)
            yield Neighbours(start, self._cosines(scores), ids, vectors)

    def _with_vectors(self, queries: FloatArray, count: int) -> Any:
        try:
            return self._index.search_and_reconstruct(queries, count)
        except RuntimeError as error:
            if "not implemented" not in str(error):
                raise
            msg = (
                f"{self._path}: a {type(self._index).__name__} does not give its vectors back, so "
                f"that near-duplicates among the hits cannot be told. Search with "
                f"duplicate_threshold=null, or build the index anew as another kind."
            )
            raise InputDataError(msg) from error

    def typical_length(self) -> float | None:
        """Return the median length of a sample of vectors; None if the index cannot return any.

        Raises:
            InputDataError: the file is damaged.
        """
        probe = np.random.default_rng(0).standard_normal((1, self.dimension), np.float32)
        try:
            _, ids, vectors = self._index.search_and_reconstruct(probe, min(_SAMPLE, self.rows))
        except _DAMAGE as error:
            if "not implemented" in str(error):  # an index without stored vectors
                return None
            raise _unreadable(self._path, error) from error
        if not (ids >= 0).any():
            return None
        return float(np.median(np.linalg.norm(vectors[ids >= 0], axis=1)))

    def finds_zeros(self) -> bool:
        """Return whether it has vectors of zeros, and takes them for near to whatever is asked.

        At distance 1 from all unit vectors, they would have the cosine 1/2 with each, which is more
        than an image has with most texts.

        Raises:
            InputDataError: the file is damaged.
        """
        if self._index.metric_type != faiss.METRIC_L2:
            return False
        try:
            distances, ids = self._index.search(np.zeros((1, self.dimension), np.float32), 1)
        except _DAMAGE as error:
            raise _unreadable(self._path, error) from error
        return bool(ids[0, 0] >= 0 and distances[0, 0] < _NO_LENGTH)

    def _cosines(self, scores: FloatArray) -> FloatArray:
        """Convert scores to cosines: 1 - d / 2 for unit vectors at squared distance d."""
        if self._index.metric_type == faiss.METRIC_INNER_PRODUCT:
            return scores
        return (1 - scores / 2).astype(np.float32)

    def _set_options(self, options: str) -> None:
        try:
            space: Any = faiss.ParameterSpace()
            space.set_index_parameters(self._index, options)
        except RuntimeError as error:
            msg = (
                f"faiss_options: {options!r} does not suit {self._path}, "
                f"a {type(self._index).__name__}; such as `nprobe=64` for an inverted file, "
                f"`efSearch=128` for HNSW."
            )
            raise InvalidArgumentError(msg) from error


def _read(path: Path) -> Any:
    try:
        if path.is_dir():
            return _read_folder(path)
        with _no_vector_over(path.stat().st_size):
            return faiss.read_index(str(path), _MEMORY_MAPPED)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _read_folder(path: Path) -> Any:
    if (path / _ON_DISK_NAME).is_file():
        return faiss.read_index(str(path / _ON_DISK_NAME), _ON_DISK)
    return MappedIndex(path).open()


@contextmanager
def _no_vector_over(size: int) -> Iterator[None]:
    """Make FAISS refuse lengths that a file of `size` bytes cannot hold, before it allocates."""
    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):  # an older FAISS
        yield
        return
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(size + _TABLES)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before)


def _without_ids(index: Any, path: Path) -> tuple[Any, IntArray | None]:
    """Return the index inside an `IndexIDMap`, and the row numbers it maps to; None if unmapped.

    Raises:
        InputDataError: its ids are not row numbers.
    """
    if not isinstance(index, faiss.IndexIDMap):
        return index, None
    ids: IntArray = faiss.vector_to_array(index.id_map)
    if len(ids) != index.ntotal or not np.array_equal(np.sort(ids), np.arange(len(ids))):
        msg = (
            f"{path}: its ids are not the numbers 0 to {max(0, index.ntotal - 1)} of its rows, so "
            f"that there is no telling which row of the metadata belongs to which vector. Build it "
            f"anew without ids of its own."
        )
        raise InputDataError(msg)
    return faiss.downcast_index(index.index), ids


def _unreadable(path: Path, error: BaseException) -> InputDataError:
    lines = str(error).rsplit("Error: ", maxsplit=1)[-1].strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return InputDataError(f"{path}: is no FAISS index that can be read ({reason}).")
