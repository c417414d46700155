"""The kinds of index, and which one suits a number of vectors."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from fondant_spec.errors import InputDataError

KINDS: Final = ("flat", "hnsw", "ivf_pq")
_FLAT_ROWS: Final = 100_000
_LINKS: Final = 16
_LINK_BYTES: Final = 2 * _LINKS * 4 * 1.25
_TRAINING_PER_LIST: Final = 39
_LEAST_LISTS: Final = 16
_DIMENSIONS_PER_BYTE: Final = (4, 8)
_ID_BYTES: Final = 8
_BLOCK_ROWS: Final = 32
_SLACK: Final = 1.2
_LEAST_TRAINING: Final = 32_768
_TRAINING_SHARE: Final = 4
"""The divisor of the memory for training vectors, which take twice that since they are copied."""
_EFFORTS: Final = (
    *((4, 1), (8, 1), (16, 1), (24, 1), (32, 1), (48, 1), (64, 1), (64, 2), (96, 2), (128, 2)),
    *((128, 4), (192, 4), (256, 4), (256, 8), (512, 8), (1024, 16)),
)
"""Pairs of lists to search and a factor on the usual re-ranking, increased in step."""
_REFINED: Final = {4: 4, 8: 16}
"""The usual multiple of the wanted number to re-rank, by dimensions per byte of code.

Beyond that, searching more lists pays off better than re-ranking more; measured for both code
lengths.
"""


@dataclass(frozen=True)
class Kind:
    """A kind of index for a number of rows and a dimension.

    - flat: compares every vector; exact, and fast enough for a hundred thousand
    - hnsw: a graph over the full vectors; fast and nearly exact, if they fit in memory
    - ivf_pq: vectors as codes of `code_bytes`, in lists of which a few are searched, and the best
      of them re-ranked by longer codes on disk; for what does not fit in memory. It is trained on
      at most `most_training` vectors. `mapped` leaves its lists on disk, too.
    """

    name: str
    rows: int
    dimension: int
    code_bytes: int = 0
    most_training: int = sys.maxsize
    mapped: bool = False

    @property
    def factory_key(self) -> str:
        """The kind as a key of FAISS's index factory."""
        if self.name == "flat":
            return "Flat"
        if self.name == "hnsw":
            return f"HNSW{_LINKS},Flat"
        return f"{self._short_key},Refine({self.refined_by})"

    @property
    def refined_by(self) -> str:
        """The codes on disk that re-rank candidates; empty for none."""
        return "SQ8" if self.name == "ivf_pq" else ""

    @property
    def _short_key(self) -> str:
        """The key of the part in memory: 4-bit codes of the residuals to each list's centre."""
        return f"IVF{self.lists},PQ{2 * self.code_bytes}x4fsr"

    @property
    def lists(self) -> int:
        """The number of lists of an inverted file: about twice the square root of the rows."""
        learnt = min(self.rows, self.most_training) // _TRAINING_PER_LIST
        return max(_LEAST_LISTS, min(int(2 * sqrt(self.rows)), learnt))

    @property
    def training_rows(self) -> int:
        """The number of vectors that lists and codes are trained on."""
        if self.name != "ivf_pq":
            return 0
        return min(self.rows, max(_TRAINING_PER_LIST * self.lists, _LEAST_TRAINING))

    @property
    def file_bytes(self) -> int:
        """The approximate size of the index file, in bytes."""
        whole = self.rows * 4 * self.dimension
        if self.name == "flat":
            return whole
        if self.name == "hnsw":
            return whole + int(self.rows * _LINK_BYTES)
        return self.lists_bytes + self.rows * self.dimension

    @property
    def memory_bytes(self) -> int:
        """The approximate part of the file that a search holds in memory; it maps the rest."""
        return 4 * self.dimension * self.lists if self.mapped else self.lists_bytes

    @property
    def lists_bytes(self) -> int:
        """The approximate size of an inverted file's lists with their codes; 0 for other kinds."""
        if not self.refined_by:
            return 0
        return self.rows * (self.code_bytes + _ID_BYTES) + self.lists * self._list_bytes

    @property
    def _list_bytes(self) -> int:
        """The size of a list without its codes: its centre, and on average half an unused block."""
        return 4 * self.dimension + _BLOCK_ROWS // 2 * self.code_bytes

    @property
    def options(self) -> Sequence[str]:
        """The search options to choose from, fastest first."""
        if self.name == "flat":
            return ("",)
        if self.name == "hnsw":
            return tuple(f"efSearch={effort}" for effort in (32, 64, 128, 256, 512))
        usual = _REFINED[self.dimension // self.code_bytes]
        efforts = dict.fromkeys((min(lists, self.lists), factor) for lists, factor in _EFFORTS)
        return tuple(f"nprobe={lists},k_factor_rf={usual * n}" for lists, n in efforts)

    def empty(self) -> Any:
        """Return an index of this kind without vectors, with room for `rows`.

        For `ivf_pq`, this is the part in memory.
        """
        import faiss  # noqa: PLC0415 - the command line only reads the names of the kinds

        key = self._short_key if self.refined_by else self.factory_key
        index: Any = faiss.index_factory(self.dimension, key, faiss.METRIC_INNER_PRODUCT)
        if not self.refined_by:
            storage: Any = index if self.name == "flat" else faiss.downcast_index(index.storage)
            _reserve(storage, self.rows * self.dimension * 4)
        return index


def choose_kind(rows: int, dimension: int, memory_bytes: int) -> Kind:
    """Return the kind that suits a number of vectors and the memory to build and serve it.

    Raises:
        InputDataError: `ivf_pq` is needed, but the dimension does not divide into codes.
    """
    if rows <= _FLAT_ROWS:
        return Kind("flat", rows, dimension)
    if rows * (4 * dimension + _LINK_BYTES) * _SLACK <= memory_bytes:
        return Kind("hnsw", rows, dimension)
    return named_kind("ivf_pq", rows, dimension, memory_bytes)


def kind_for(name: str | None, rows: int, dimension: int, memory_bytes: int) -> Kind:
    """Return the kind with this name, or the one that suits if there is none.

    Raises:
        InputDataError: as `choose_kind` and `named_kind`.
    """
    if name is None:
        return choose_kind(rows, dimension, memory_bytes)
    return named_kind(name, rows, dimension, memory_bytes)


def named_kind(name: str, rows: int, dimension: int, memory_bytes: int) -> Kind:
    """Return the kind with this name, with codes as long as the memory permits.

    If it permits none, they stay on disk, at their longest.

    Raises:
        InputDataError: it is `ivf_pq`, and there are too few vectors to train on, or the dimension
            does not divide into codes.
    """
    if name != "ivf_pq":
        return Kind(name, rows, dimension)
    least, divisor = _LEAST_LISTS * _TRAINING_PER_LIST, _DIMENSIONS_PER_BYTE[-1]
    if rows < least or dimension % divisor:
        msg = (
            f"an ivf_pq index needs at least {least} vectors of a dimension that "
            f"{divisor} divides, not {rows} of {dimension}. Choose flat or hnsw."
        )
        raise InputDataError(msg)
    lengths = [dimension // dimensions for dimensions in _DIMENSIONS_PER_BYTE]
    fitting = [n for n in lengths if rows * (n + _ID_BYTES) * _SLACK <= memory_bytes]
    most_training = max(_LEAST_TRAINING, memory_bytes // _TRAINING_SHARE // (4 * dimension))
    code_bytes = (fitting or lengths)[0]
    return Kind(name, rows, dimension, code_bytes, most_training, mapped=not fitting)


def _reserve(storage: Any, size: int) -> None:
    """Allocate `size` bytes for vectors at once, rather than by doubling."""
    storage.codes.resize(size)
    storage.codes.resize(0)
