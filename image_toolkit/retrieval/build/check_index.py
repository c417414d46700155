"""Check an index on disk, and describe its contents and its recall."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.build.recall import NEIGHBOURS, recall
from image_toolkit.retrieval.search.columns import ColumnChoice, find_columns
from image_toolkit.retrieval.search.exact import exact_neighbours
from image_toolkit.retrieval.search.hits import IntArray
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.search.pairing import prove_pairing
from image_toolkit.retrieval.search.vectors import NpyVectors

_QUERIES: Final = 200


def check_index(where: IndexFolder) -> Iterator[str]:
    """Yield lines that describe an index, after checking that its parts match.

    If its vectors are beside it, as `img_emb/*.npy`, some are looked up, which proves that its rows
    match the metadata, and its recall is measured: the share of the true neighbours of some of its
    rows that it finds, not counting each row itself.

    Raises:
        InputDataError: a part is missing, damaged, or does not match the others.
    """
    index = where.open()
    info = index.info
    yield f"location      {info.location}"
    for part in where.parts():
        yield f"part          {part.path}"
    yield f"fingerprint   {info.fingerprint}"
    yield f"rows          {info.rows}, each with its metadata"
    yield f"dimension     {info.dimension}"
    yield f"model         {info.model or 'unknown: say it with index_model_id when searching'}"
    yield f"columns       {', '.join(info.columns or ())}"
    yield from _column_notes(index)
    yield from _looked_up(index, where)


def _looked_up(index: LocalIndex, where: IndexFolder) -> Iterator[str]:
    """Yield the results of looking up the vectors beside the index."""
    try:
        files = where.vectors_beside()
    except InputDataError as error:
        yield f"pairing       not proved: {error}"
        return
    if not files:
        yield "pairing       not proved: there are no vectors beside the index to look up"
        return
    proof = prove_pairing(index, files)
    yield f"pairing       {proof.found} of {proof.looked_up} vectors found at their own rows"
    yield f"recall@{NEIGHBOURS}     {_recall(index, NpyVectors(files)):.4f}"


def _column_notes(index: LocalIndex) -> Iterator[str]:
    try:
        columns = find_columns(index.info.columns, ColumnChoice())
    except InvalidArgumentError as error:
        yield f"note          {error}"
        return
    if columns.unsafe is None:
        yield "note          no score for unsafe content, so max_unsafe has no effect"
    if columns.watermark is None:
        yield "note          no score for watermarks, so max_watermark has no effect"


def _recall(index: LocalIndex, vectors: NpyVectors) -> float:
    rows = np.random.default_rng(0).choice(len(vectors), min(_QUERIES, len(vectors)), replace=False)
    count = min(NEIGHBOURS + 1, len(vectors))
    queries = vectors.take(rows)
    _, true = exact_neighbours(vectors, queries, count)
    found = index.neighbours(queries, count)
    return recall(_others(found, rows, count - 1), _others(true, rows, count - 1))


def _others(ids: IntArray, rows: IntArray, count: int) -> IntArray:
    """Return the first `count` neighbours of each row, without the row itself."""
    return np.stack([line[line != row][:count] for line, row in zip(ids, rows, strict=True)])
