"""The kinds of index, and which one suits a number of vectors."""

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
_DIMENSIONS_PER_BYTE: Final = (2, 4, 8)
_ID_BYTES: Final = 8
_SLACK: Final = 1.2
_LEAST_TRAINING: Final = 32_768
_CODE_ROUNDS: Final = 10
_CODE_POINTS: Final = 64


@dataclass(frozen=True)
class Kind:
    """A kind of index for so many rows of so many dimensions.

    - flat: every vector is compared; exact, and fast enough for a hundred thousand;
    - hnsw: a graph over the whole vectors; fast, and nearly exact, if they fit in memory;
    - ivf_pq: vectors in codes of `code_bytes`, in lists of which a few are searched; for what does
      not fit.
    """

    name: str
    rows: int
    dimension: int
    code_bytes: int = 0

    @property
    def factory_key(self) -> str:
        """The kind in the language of FAISS's index factory."""
        if self.name == "flat":
            return "Flat"
        if self.name == "hnsw":
            return f"HNSW{_LINKS},Flat"
        return f"IVF{self.lists},PQ{self.code_bytes}x8"

    @property
    def lists(self) -> int:
        """The number of lists of an inverted file: some twice the root of the rows."""
        return max(_LEAST_LISTS, min(int(2 * sqrt(self.rows)), self.rows // _TRAINING_PER_LIST))

    @property
    def training_rows(self) -> int:
        """How many vectors it learns its lists and codes from."""
        if self.name != "ivf_pq":
            return 0
        return min(self.rows, max(_TRAINING_PER_LIST * self.lists, _LEAST_TRAINING))

    @property
    def options(self) -> Sequence[str]:
        """The search options to choose among, the fastest first."""
        if self.name == "flat":
            return ("",)
        if self.name == "hnsw":
            return tuple(f"efSearch={effort}" for effort in (32, 64, 128, 256, 512))
        efforts = (4, 8, 16, 32, 64, 128, 256)
        return tuple(f"nprobe={effort}" for effort in efforts if effort <= self.lists)

    def empty(self) -> Any:
        """Return an index of this kind without vectors, with room for `rows`."""
        import faiss  # noqa: PLC0415 - the command line reads the names of the kinds alone

        index: Any = faiss.index_factory(
            self.dimension, self.factory_key, faiss.METRIC_INNER_PRODUCT
        )
        if self.name == "ivf_pq":
            codes: Any = faiss.downcast_index(index)
            codes.do_polysemous_training = False  # for a way of searching that is not used here
            codes.pq.cp.niter = _CODE_ROUNDS
            codes.pq.cp.max_points_per_centroid = _CODE_POINTS
        else:
            storage: Any = index if self.name == "flat" else faiss.downcast_index(index.storage)
            _reserve(storage, self.rows * self.dimension * 4)
        return index


def choose_kind(rows: int, dimension: int, memory_bytes: int) -> Kind:
    """Return the kind that suits a number of vectors and the memory for building and serving them.

    Raises:
        InputDataError: `ivf_pq` is called for, but the dimension does not divide into codes.
    """
    if rows <= _FLAT_ROWS:
        return Kind("flat", rows, dimension)
    if rows * (4 * dimension + _LINK_BYTES) * _SLACK <= memory_bytes:
        return Kind("hnsw", rows, dimension)
    return named_kind("ivf_pq", rows, dimension, memory_bytes)


def named_kind(name: str, rows: int, dimension: int, memory_bytes: int) -> Kind:
    """Return the kind of this name; codes are as long as the memory allows.

    Raises:
        InputDataError: it is `ivf_pq`, and there are too few vectors to learn from, or the
            dimension does not divide into codes.
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
    return Kind(name, rows, dimension, (fitting or lengths[-1:])[0])


def _reserve(storage: Any, size: int) -> None:
    """Make room for `size` bytes of vectors at once, instead of doubling while they come."""
    storage.codes.resize(size)
    storage.codes.resize(0)
