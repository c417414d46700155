"""The lists of all shards, merged into one file that FAISS can map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from image_toolkit.retrieval.build.shards import Codes, Shard
from image_toolkit.retrieval.search.hits import IntArray
from image_toolkit.retrieval.search.mapped_lists import BLOCK, rooms, with_lists

_ID: Final = np.dtype(np.int64)


@dataclass(frozen=True)
class MergedLists:
    """A file with the lists of an inverted file, and the number of vectors in each.

    The `held_out` vectors are the last ones of each list.
    """

    file: Path
    sizes: IntArray
    held_out: IntArray

    def index(self, empty: Any, *, with_held_out: bool) -> Any:
        """Return `empty`, an inverted file, with these lists mapped into it."""
        sizes = self.sizes if with_held_out else self.sizes - self.held_out
        return with_lists(empty, self.file, sizes, rooms(self.sizes))

    def in_memory(self, empty: Any, mapped: Any) -> Any:
        """Return `empty`, an inverted file, with the contents of `mapped` copied into memory."""
        source: Any = mapped.invlists
        target: Any = faiss.downcast_InvertedLists(empty.invlists)
        for number, size in enumerate(self.sizes.tolist()):
            if size:
                target.add_entries(number, size, source.get_ids(number), source.get_codes(number))
        empty.ntotal = mapped.ntotal
        return empty


def merge_lists(
    shards: Sequence[Shard], empty: Any, head: int, file: Path, memory: int
) -> MergedLists:
    """Write the lists of all shards to `file`, in runs that take about `memory` bytes.

    Rows from `head` on are the held-out ones.
    """
    sizes = np.sum([shard.read("sizes") for shard in shards], axis=0)
    held_out = np.zeros_like(sizes)
    with file.open("wb") as stream:
        for first, last in _runs(sizes, memory // (4 * (empty.code_size + _ID.itemsize))):
            ids, codes = _gathered(shards, first, last)
            ends = np.cumsum(sizes[first:last])
            for number, end in zip(range(first, last), ends.tolist(), strict=True):
                here = slice(end - sizes[number], end)
                held_out[number] = (ids[here] >= head).sum()
                stream.write(_packed(codes[here], empty).data)
                stream.write(_padded(ids[here]).data)
    return MergedLists(file, sizes, held_out)


def _runs(sizes: IntArray, most: int) -> Iterator[tuple[int, int]]:
    """Yield runs of lists as [first, last), of at most so many vectors or a single list."""
    first, count = 0, 0
    for number, size in enumerate(sizes.tolist()):
        if count and count + size > most:
            yield first, number
            first, count = number, 0
        count += size
    yield first, len(sizes)


def _gathered(shards: Sequence[Shard], first: int, last: int) -> tuple[IntArray, Codes]:
    """Return the ids and codes of a run of lists, by list, and within a list by id."""
    ids, codes, list_of = [], [], []
    for shard in shards:
        sizes = shard.read("sizes")
        start = int(sizes[:first].sum())
        here = slice(start, start + int(sizes[first:last].sum()))
        ids.append(shard.read("ids")[here])
        codes.append(shard.read("codes")[here])
        list_of.append(np.repeat(np.arange(first, last), sizes[first:last]))
    by_list = np.argsort(np.concatenate(list_of), kind="stable")
    return np.concatenate(ids)[by_list], np.concatenate(codes)[by_list]


def _packed(codes: Codes, empty: Any) -> Codes:
    """Return codes in the blocks that fast-scan reads, the last one padded with zeros."""
    blocks = np.zeros((rooms(np.array(len(codes))), codes.shape[1]), np.uint8)
    blocks[: len(codes)] = codes
    packed = np.empty_like(blocks)
    packer: Any = empty.get_CodePacker()
    for start in range(0, len(blocks), BLOCK):
        packer.pack_all(faiss.swig_ptr(blocks[start:]), faiss.swig_ptr(packed[start:]))
    return packed


def _padded(ids: IntArray) -> IntArray:
    """Return ids, padded with -1 to the capacity of the list."""
    padded: IntArray = np.full(rooms(np.array(len(ids))), -1, _ID)
    padded[: len(ids)] = ids
    return padded
