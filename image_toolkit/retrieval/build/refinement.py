"""A second look at what short codes find: every vector in a byte a number, kept on disk.

An inverted file of short codes is small and fast, but orders near neighbours poorly. `IndexRefine`
of FAISS takes several times as many as are wanted and orders them anew by longer codes. These are
written here as they are made, so that they need no memory, neither in building nor in searching,
which maps them: only those of the candidates are read.
"""

from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.vectors import VectorFiles

_COUNT_BYTES: Final = 8
"""FAISS ends the file of a scalar quantiser with its codes, and says before them how many bytes."""


def refine_codes(kind: str, sample: FloatArray, vectors: VectorFiles, file: Path) -> Any:
    """Return an index of the codes of all `vectors`, mapped from `file`, where they are written.

    `kind` is of FAISS's index factory, such as `SQ8`; it learns its range from `sample`.
    """
    dimension = vectors.dimension
    codec: Any = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
    codec.train(sample)
    codec.ntotal = len(vectors)
    head = faiss.serialize_index(codec).tobytes()[:-_COUNT_BYTES]
    size = np.uint64(len(vectors) * codec.sa_code_size())
    with file.open("wb") as stream:
        stream.write(head + size.tobytes())
        for chunk in vectors.chunks():
            stream.write(codec.sa_encode(np.ascontiguousarray(chunk)).data)
    return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)


def refined(index: Any, codes: Any) -> Any:
    """Return a search in `index`, the first rows of which `codes` has, that orders by `codes`."""
    codes.ntotal = index.ntotal  # those to come are there already
    return faiss.IndexRefine(index, codes)


def add_last(search: Any, queries: FloatArray) -> None:
    """Add the last rows to a refined search, whose codes are there already."""
    search.base_index.add(queries)
    search.refine_index.ntotal = search.ntotal = search.base_index.ntotal
