"""Shards of an inverted file: each a file of vectors as codes, sorted by list, on disk.

A shard is a folder that gets its name when it is complete, so that a build which was killed keeps
its finished shards. Any process that sees the folder can make it, from the trained parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import faiss
import numpy as np
from numpy.typing import NDArray

from image_toolkit.retrieval.build.npy_files import write_npy
from image_toolkit.retrieval.search.exact import exact_neighbours
from image_toolkit.retrieval.search.hits import FloatArray, IntArray
from image_toolkit.retrieval.search.vectors import NpyVectors

Codes = NDArray[np.uint8]

_CHUNK_ROWS: Final = 8192


@dataclass(frozen=True)
class Learnt:
    """The folder with the trained parts of a build, shared by all that make its shards."""

    folder: Path

    @property
    def lists_file(self) -> Path:
        """An inverted file without vectors."""
        return self.folder / "lists.index"

    @property
    def codec_file(self) -> Path:
        """The quantiser of the longer codes."""
        return self.folder / "codec.index"

    @property
    def queries_file(self) -> Path:
        """The held-out vectors."""
        return self.folder / "queries.npy"

    def lists(self) -> Any:
        """Return an inverted file without vectors."""
        return faiss.read_index(str(self.lists_file))

    def codec(self) -> Any:
        """Return the quantiser of the longer codes."""
        return faiss.read_index(str(self.codec_file))

    def queries(self) -> FloatArray:
        """Return the held-out vectors, shape (n, dimension)."""
        found: FloatArray = np.load(self.queries_file)
        return found


@dataclass(frozen=True)
class Shard:
    """A shard of the index, made from a file of vectors, the first of which is row `start`.

    For each held-out vector, the `neighbours` nearest among the shard's first `searched` rows are
    found in the same pass, so that each vector is read only once.
    """

    learnt: Learnt
    vectors: Path
    start: int
    rows: int
    searched: int
    neighbours: int

    @property
    def folder(self) -> Path:
        """Its folder, which exists once it is complete."""
        return self.learnt.folder / self.vectors.stem

    def read(self, name: str) -> NDArray[Any]:
        """Return one of its arrays, memory-mapped.

        `sizes` of the lists; `ids` and `codes`, by list; `longer` codes, by row; `nearest` and
        `similarity`, shape (queries, neighbours).
        """
        array: NDArray[Any] = np.load(self.file(name), mmap_mode="r")
        return array

    def file(self, name: str) -> Path:
        """Return the file of one of its arrays."""
        return self.folder / f"{name}.npy"

    def make(self) -> None:
        """Make the shard, in as many threads as the process has."""
        unfinished = self.folder.with_suffix(f".{uuid4().hex}")
        unfinished.mkdir()
        for name, array in self._arrays():
            write_npy(unfinished / f"{name}.npy", array)
        try:
            unfinished.replace(self.folder)
        except OSError:  # another worker finished it first, such as one of a killed build
            if not self.folder.is_dir():
                raise

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        lists = self.learnt.lists()
        list_of, codes, longer = self._encoded(lists, self.learnt.codec())
        by_list = np.argsort(list_of, kind="stable")
        yield "sizes", np.bincount(list_of, minlength=lists.nlist)
        yield "ids", self.start + by_list
        yield "codes", codes[by_list]
        yield "longer", longer
        similarity, nearest = self._nearest()
        yield "similarity", similarity
        yield "nearest", nearest

    def _encoded(self, lists: Any, codec: Any) -> tuple[IntArray, Codes, Codes]:
        """Return the list of each vector, and its codes of both lengths."""
        vectors = NpyVectors([self.vectors])
        list_of = np.empty(len(vectors), np.int64)
        codes = np.empty((len(vectors), lists.code_size), np.uint8)
        longer = np.empty((len(vectors), codec.sa_code_size()), np.uint8)
        start = 0
        for chunk in vectors.chunks(_CHUNK_ROWS):
            here = slice(start, start + len(chunk))
            list_of[here] = lists.quantizer.search(chunk, 1)[1][:, 0]
            pointers = [faiss.swig_ptr(array) for array in (chunk, list_of[here], codes[here])]
            lists.encode_vectors(len(chunk), *pointers)
            longer[here] = codec.sa_encode(chunk)
            start += len(chunk)
        return list_of, codes, longer

    def _nearest(self) -> tuple[FloatArray, IntArray]:
        """Return the cosines and index rows of the nearest neighbours of the held-out vectors."""
        queries = self.learnt.queries()
        vectors = NpyVectors([self.vectors])
        count = min(self.neighbours, self.searched)
        if not count:
            nothing = np.empty((len(queries), 0))
            return nothing.astype(np.float32), nothing.astype(np.int64)
        similarity, nearest = exact_neighbours(vectors, queries, count, rows=self.searched)
        return similarity, self.start + nearest


def shards_of(
    learnt: Learnt, files: Sequence[Path], rows: Sequence[int], searched: int, neighbours: int
) -> list[Shard]:
    """Return the shards for files of vectors that have so many `rows`.

    Neighbours are searched among the first `searched` of all rows.
    """
    starts = accumulate(rows, initial=0)
    return [
        Shard(learnt, file, start, count, max(0, min(count, searched - start)), neighbours)
        for file, start, count in zip(files, starts, rows, strict=False)
    ]


def nearest_of_all(shards: Sequence[Shard], count: int) -> IntArray:
    """Return the nearest rows of each held-out vector, best first, shape (queries, count)."""
    similarity = np.concatenate([shard.read("similarity") for shard in shards], axis=1)
    nearest = np.concatenate([shard.read("nearest") for shard in shards], axis=1)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(nearest, order, axis=1)
