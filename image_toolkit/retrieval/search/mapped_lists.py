"""An inverted file whose lists stay on disk, and are mapped from there: for what outgrows memory.

Fast-scan searches a list in blocks of 32 vectors, whose codes are interleaved. Where the room of a
list is a whole number of blocks, its codes and then its ids, FAISS searches it through
`OnDiskInvertedLists` as it does in memory. It cannot read such an index from one file, though: so
the lists are put in place here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from image_toolkit.retrieval.search.hits import IntArray

BLOCK: Final = 32
_ID_BYTES: Final = 8


@dataclass(frozen=True)
class MappedIndex:
    """The folder of such an index.

    In it are what was learnt, as an index without vectors; the lists and how many vectors each has;
    the longer codes by which what is found is ordered anew; and the search options.
    """

    folder: Path

    @property
    def learnt(self) -> Path:
        """What was learnt."""
        return self.folder / "learnt.index"

    @property
    def lists(self) -> Path:
        """The lists, one after the other."""
        return self.folder / "lists.bin"

    @property
    def sizes(self) -> Path:
        """How many vectors each list has."""
        return self.folder / "sizes.npy"

    @property
    def longer(self) -> Path:
        """The longer codes."""
        return self.folder / "longer_codes.index"

    @property
    def options(self) -> Path:
        """Such as `nprobe=48,k_factor_rf=4`."""
        return self.folder / "search_options.txt"

    def open(self) -> Any:
        """Return the index, mapped.

        Raises:
            RuntimeError: its files do not fit.
            OSError, ValueError: one is not there, or no longer what it was.
        """
        sizes = np.load(self.sizes, allow_pickle=False)
        index = with_lists(faiss.read_index(str(self.learnt)), self.lists, sizes, rooms(sizes))
        codes: Any = faiss.read_index(str(self.longer), faiss.IO_FLAG_MMAP_IFC)
        if (codes.ntotal, codes.d) != (index.ntotal, index.d):
            msg = f"{self.longer.name} is of another index"
            raise RuntimeError(msg)
        search = faiss.IndexRefine(index, codes)
        space: Any = faiss.ParameterSpace()
        space.set_index_parameters(search, self.options.read_text(encoding="utf-8").strip())
        return search


def rooms(sizes: IntArray) -> IntArray:
    """Return how many vectors lists of these sizes have room for: whole blocks."""
    return -(-sizes // BLOCK) * BLOCK


def with_lists(empty: Any, file: Path, sizes: IntArray, room: IntArray) -> Any:
    """Return an inverted file that has the lists of `file` mapped; it was `empty` before.

    They are as long as `sizes`, and have `room` for as many vectors or more.

    Raises:
        RuntimeError: the file is not as long as they are, or there are more or fewer of them.
    """
    offsets = np.cumsum(room * (empty.code_size + _ID_BYTES))
    found = file.stat().st_size
    if len(sizes) != empty.nlist or found != offsets[-1]:
        msg = (
            f"{file.name} has {found} bytes instead of {offsets[-1]}, in {len(sizes)} lists "
            f"instead of {empty.nlist}"
        )
        raise RuntimeError(msg)
    lists: Any = faiss.OnDiskInvertedLists(len(sizes), empty.code_size, str(file))
    lists.read_only = True
    lists.lists.clear()
    one = faiss.OnDiskOneList()
    starts = [0, *offsets[:-1].tolist()]
    for start, size, most in zip(starts, sizes.tolist(), room.tolist(), strict=True):
        one.offset, one.size, one.capacity = start, size, most
        lists.lists.push_back(one)
    lists.totsize = found
    lists.prefetch_nthread = 0  # which would read every list twice; the system reads ahead as well
    lists.do_mmap()
    lists.this.disown()
    empty.replace_invlists(lists, True)  # noqa: FBT003 - of FAISS, which takes no names
    empty.ntotal = int(sizes.sum())
    return empty
