"""Prove that the rows of a FAISS index match its metadata, with its vectors.

An index file does not record the order in which its rows were added. If the vectors are beside it,
one file per metadata file, a sample is looked up: each should be found at its own row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import IntArray
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.search.numbered_files import by_number
from image_toolkit.retrieval.search.vectors import NpyVectors
from image_toolkit.unit_vectors import unit_vectors

_LOOKED_UP: Final = 200
_AMONG: Final = 10
_LEAST_SHARE: Final = 0.1  # far below the loss by the coarsest codes, far above chance


@dataclass(frozen=True)
class Proof:
    """How many of the vectors that were looked up were `found` at their rows."""

    looked_up: int
    found: int


def prove_pairing(index: LocalIndex, files: Sequence[Path]) -> Proof:
    """Look up a sample of the vectors in `files`, which are in the order of the index's metadata.

    Raises:
        InputDataError: they are found elsewhere, so every row would get another's metadata.
    """
    folder = files[0].parent
    vectors = NpyVectors(files)
    if len(vectors) != index.info.rows:
        msg = f"{folder}: {len(vectors)} vectors, but the index has {index.info.rows} rows."
        raise InputDataError(msg)
    ids, shifts = _sample(files, vectors)
    queries = unit_vectors(vectors.take(ids))
    nearest = index.neighbours(queries, min(_AMONG, len(vectors)))
    by_name = int((nearest == ids[:, None]).any(axis=1).sum())
    numbered = int((nearest == (ids + shifts)[:, None]).any(axis=1).sum())
    if numbered > by_name:
        msg = (
            f"{folder}: the index was built in the order of the numbers in the file names: of "
            f"{len(ids)} vectors, {numbered} are found where that order has them, and {by_name} in "
            f"the order of the names, in which clip-retrieval and this tool read the metadata. Pad "
            f"the numbers with zeros to one width, in the names of the metadata and of the "
            f"vectors: then both orders are the same."
        )
        raise InputDataError(msg)
    if by_name < len(ids) * _LEAST_SHARE:
        msg = (
            f"{folder}: of {len(ids)} vectors, the index has {by_name} at their rows, so its rows "
            f"are not those of the metadata. Build the index anew from these vectors."
        )
        raise InputDataError(msg)
    return Proof(len(ids), by_name)


def _sample(files: Sequence[Path], vectors: NpyVectors) -> tuple[IntArray, IntArray]:
    """Return rows to look up, and how many places later each comes in numeric order.

    If the two orders differ, only rows whose place differs are sampled.
    """
    rows = dict(zip(files, vectors.file_rows, strict=True))
    starts = dict(zip(by_number(files), _starts([rows[f] for f in by_number(files)]), strict=True))
    later = [starts[f] - start for f, start in zip(files, _starts(vectors.file_rows), strict=True)]
    shifts = np.repeat(np.array(later, np.int64), vectors.file_rows)
    moved = np.flatnonzero(shifts)
    among = moved if len(moved) else np.arange(len(vectors))
    count = min(_LOOKED_UP, len(among))
    ids = np.sort(np.random.default_rng(0).choice(among, count, replace=False))
    return ids, shifts[ids]


def _starts(rows: Sequence[int]) -> Sequence[int]:
    return [end - count for end, count in zip(accumulate(rows), rows, strict=True)]
