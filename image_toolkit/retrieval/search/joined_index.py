"""Several indexes searched as one, with their rows numbered consecutively.

A folder with a `parts.json` lists the folders of its parts, in row order. So a missing part is
noticed, and the row number of a hit never changes.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np

from fondant_spec.dataset.trusted_places import TRUSTED, is_below, trusted_places
from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.columns import ColumnChoice, find_columns
from image_toolkit.retrieval.search.hits import FloatArray, IndexInfo
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.search.metadata_rows import Rows
from image_toolkit.retrieval.search.model_identity import ModelIdentity, same_model
from image_toolkit.retrieval.search.neighbours import Neighbours, NeighbourSearch, run_length

PARTS: Final = "parts.json"


class JoinedSearch:
    """Finds the nearest rows over several searches, all of which yield cosines."""

    def __init__(self, parts: Sequence[NeighbourSearch]) -> None:
        self._parts = parts
        self._starts = [*accumulate((part.rows for part in parts), initial=0)]
        self.dimension = parts[0].dimension
        self.rows = self._starts[-1]

    def neighbours(
        self, queries: FloatArray, count: int, *, with_vectors: bool
    ) -> Iterator[Neighbours]:
        """Yield the `count` nearest rows of each query, in runs of queries."""
        among = count * len(self._parts)
        step = run_length(among, self.dimension) if with_vectors else max(1, len(queries))
        for first in range(0, len(queries), step):
            run = queries[first : first + step]
            found = [
                _found(part, start, run, min(count, part.rows), with_vectors=with_vectors)
                for part, start in zip(self._parts, self._starts, strict=False)
            ]
            yield _nearest(found, first, count)


def listed_parts(folder: Path) -> list[Path]:
    """Return the folders of the parts of an index, in order; empty if it has no parts.

    Raises:
        InputDataError: the list cannot be read, or names a folder elsewhere.
    """
    listing = folder / PARTS
    if not listing.is_file():
        return []
    try:
        names = json.loads(listing.read_bytes())["parts"]
        parts = [folder.absolute() / str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f'{listing}: must be JSON of the form {{"parts": ["folder", ...]}} ({error!r}).'
        raise InputDataError(msg) from error
    if not parts:
        msg = f"{listing}: names no parts."
        raise InputDataError(msg)
    for part in parts:  # whoever wrote the list may not be the one who searches
        if not any(is_below(str(part), r) for r in (str(folder.absolute()), *trusted_places())):
            msg = f"{listing}: {part} lies outside of {folder}. If you trust it, say so: {TRUSTED}."
            raise InputDataError(msg)
        if is_below(str(folder.absolute()), str(part)):
            msg = f"{listing}: {part} is no part of {folder}, but has it inside."
            raise InputDataError(msg)
    return parts


def write_parts(folder: Path, parts: Sequence[Path]) -> None:
    """List the parts of an index, which are in `folder`."""
    names = [str(part.relative_to(folder)) for part in parts]
    (folder / PARTS).write_text(json.dumps({"parts": names}, indent=2) + "\n", encoding="utf-8")


def join_indexes(parts: Sequence[LocalIndex], location: str) -> LocalIndex:
    """Return one index over all rows of `parts`.

    Raises:
        InputDataError: they differ in model, dimension or the name of the URL column.
    """
    infos = [part.info for part in parts]
    _check_that_they_fit(infos, location)
    rows = Rows(parts=[part.rows for part in parts])
    named = {name for info in infos for name in info.columns or ()}
    info = IndexInfo(
        location=location,
        fingerprint=hashlib.sha256("".join(i.fingerprint for i in infos).encode()).hexdigest()[:16],
        dimension=infos[0].dimension,
        rows=len(rows),
        model=max((info.model for info in infos), key=_how_much),
        columns=tuple(name for name in rows.columns if name in named),
    )
    return LocalIndex(info, JoinedSearch([part.nearest for part in parts]), rows)


def _check_that_they_fit(infos: Sequence[IndexInfo], location: str) -> None:
    first = infos[0]
    if all(_fits(first, other) for other in infos[1:]):
        return
    listed = "; ".join(
        f"{info.location}: {info.dimension} dimensions, model {info.model or 'not said'}, "
        f"URLs in {_url_column(info) or 'no column'}"
        for info in infos
    )
    msg = (
        f"{location}: its parts cannot be searched as one: their vectors must be of one model and "
        f"one dimension, and their URLs in a column of one name. {listed}. Leave out of {PARTS} "
        'what does not fit; a part that does not say its model says it as "model_id" in its '
        "image.json."
    )
    raise InputDataError(msg)


def _fits(one: IndexInfo, other: IndexInfo) -> bool:
    if one.dimension != other.dimension or _url_column(one) != _url_column(other):
        return False
    if one.model == other.model:
        return True
    return bool(one.model and other.model and same_model(one.model, other.model))


def _url_column(info: IndexInfo) -> str | None:
    try:
        return find_columns(info.columns, ColumnChoice()).url
    except InvalidArgumentError:  # the user may name it
        return None


def _how_much(model: ModelIdentity | None) -> int:
    """Return how many properties of a model are known."""
    return sum(value is not None for value in model.as_field().values()) if model else 0


def _found(
    part: NeighbourSearch, start: int, queries: FloatArray, count: int, *, with_vectors: bool
) -> Neighbours:
    """Return what a part finds for all queries, with its rows numbered from `start`."""
    runs = [*part.neighbours(queries, count, with_vectors=with_vectors)]
    ids = np.concatenate([run.ids for run in runs])
    similarity = np.concatenate([run.similarity for run in runs])
    vectors = [run.vectors for run in runs if run.vectors is not None]
    return Neighbours(
        0,
        np.where(ids < 0, -np.inf, similarity).astype(np.float32),
        np.where(ids < 0, -1, ids + start),
        np.concatenate(vectors) if vectors else None,
    )


def _nearest(parts: Sequence[Neighbours], first: int, count: int) -> Neighbours:
    """Return the `count` best results of all parts, for the queries from number `first` on."""
    similarity = np.concatenate([part.similarity for part in parts], axis=1)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    vectors = [part.vectors for part in parts if part.vectors is not None]
    return Neighbours(
        first,
        np.take_along_axis(similarity, order, axis=1),
        np.take_along_axis(np.concatenate([part.ids for part in parts], axis=1), order, axis=1),
        np.take_along_axis(np.concatenate(vectors, axis=1), order[:, :, None], axis=1)
        if vectors
        else None,
    )
