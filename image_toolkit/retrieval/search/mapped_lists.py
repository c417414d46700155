"""An inverted file whose lists stay on disk and are memory-mapped: for indexes beyond memory.

FAISS's fast-scan searches a list in blocks of 32 vectors, whose codes are interleaved. If the room
for each list is a whole number of blocks, holding its codes and then its ids, FAISS can search it
through `OnDiskInvertedLists` as it does in memory. But it cannot read such an index from a file: so
the lists are attached here.
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

    It contains the trained index without vectors; the lists and their sizes; the longer codes that
    re-rank candidates; and the search options.
    """

    folder: Path

    @property
    def learnt(self) -> Path:
        """The trained index, without vectors."""
        return self.folder / "learnt.index"

    @property
    def lists(self) -> Path:
        """The lists, one after another."""
        return self.folder / "lists.bin"

    @property
    def sizes(self) -> Path:
        """The number of vectors in each list."""
        return self.folder / "sizes.npy"

    @property
    def longer(self) -> Path:
        """The longer codes."""
        return self.folder / "longer_codes.index"

    @property
    def options(self) -> Path:
        """The search options, such as `nprobe=48,k_factor_rf=4`."""
        return self.folder / "search_options.txt"

    def open(self) -> Any:
        """Return the index, memory-mapped.

        Raises:
            RuntimeError: its files do not match.
            OSError, ValueError: one is missing or damaged.
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
    """Return the capacities of lists of these sizes: whole blocks."""
    return -(-sizes // BLOCK) * BLOCK


def with_lists(empty: Any, file: Path, sizes: IntArray, room: IntArray) -> Any:
    """Return `empty`, an inverted file, with the lists of `file` mapped into it.

    The lists contain `sizes` vectors, with `room` for at least as many.

    Raises:
        RuntimeError: the length of the file or the number of lists does not match.
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
    lists.prefetch_nthread = 0  # it would read every list twice; the OS reads ahead anyway
    lists.do_mmap()
    lists.this.disown()
    empty.replace_invlists(lists, True)  # noqa: FBT003 - FAISS takes no keyword
    empty.ntotal = int(sizes.sum())
    return empty
