"""Re-rank what short codes find: every vector with one byte per dimension, on disk.

An inverted file of short codes is small and fast, but orders near neighbours poorly. FAISS's
`IndexRefine` takes several times as many candidates as wanted and re-ranks them by longer codes.
Their file is assembled from those of the shards, so that they need no memory: neither in building,
nor in searching, which maps the file and reads only the candidates' codes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from image_toolkit.retrieval.build.shards import Shard

_COUNT_BYTES: Final = 8
"""FAISS ends the file of a scalar quantiser with its codes, preceded by their size in bytes."""


def move_longer_codes(shards: Sequence[Shard], codec: Any, file: Path) -> None:
    """Move the longer codes of all shards to `file`, which is a FAISS index.

    Skipped if they were moved before.
    """
    if not file.is_file():
        unfinished = file.with_suffix(".tmp")
        _write(shards, codec, unfinished)
        unfinished.replace(file)
    for shard in shards:
        shard.file("longer").unlink(missing_ok=True)


def _write(shards: Sequence[Shard], codec: Any, file: Path) -> None:
    codec.ntotal = sum(shard.rows for shard in shards)
    head = faiss.serialize_index(codec).tobytes()[:-_COUNT_BYTES]
    size = np.uint64(codec.ntotal * codec.sa_code_size())
    with file.open("wb") as stream:
        stream.write(head + size.tobytes())
        for shard in shards:
            stream.write(shard.read("longer").data)


def refined(index: Any, file: Path) -> Any:
    """Return a search in `index` that re-ranks its results by the memory-mapped codes of `file`.

    `index` may contain only the first rows of those in the file.
    """
    codes: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    codes.ntotal = index.ntotal
    return faiss.IndexRefine(index, codes)
