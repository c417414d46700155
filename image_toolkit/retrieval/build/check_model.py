"""Whether a model made an index, by measurement: the index's own contents must find themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np

from fondant_spec.errors import InputDataError
from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.retrieval.build.own_images import own_images
from image_toolkit.retrieval.search.columns import ColumnChoice, find_columns
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.search.query_encoders import QueryEncoders
from image_toolkit.retrieval.service.query_requests import BadRequestError
from image_toolkit.unit_vectors import unit_vectors

_TRIED: Final = 64
_LEAST: Final = 5
_AMONG: Final = 10
_TIE: Final = 0.005
_SHARE: Final = 0.5
_COSINE: Final = 0.9  # above 0.95 for the same image in another size or compression
_ERRORS: Final = 4


@dataclass(frozen=True)
class Evidence:
    """How many of a sample of images or captions, embedded by a model, an index finds at rank 1.

    `cosine` is the median for those found first, and `chance` the share expected by chance.
    """

    of: str
    asked: int
    found: int
    cosine: float
    chance: float

    @property
    def share(self) -> float:
        """The share that was found."""
        return self.found / self.asked

    @property
    def fits(self) -> bool:
        """Whether this shows that the model is that of the index.

        An image's vector is nearly its vector in the index, while a caption's is only near it: so
        captions must be found more often than by chance, by four standard errors.
        """
        if self.of == "images":
            return self.share >= _SHARE and self.cosine >= _COSINE
        error = sqrt(max(self.chance * (1 - self.chance), 1 / self.asked) / self.asked)
        return self.share > self.chance + _ERRORS * error

    def __str__(self) -> str:
        """Return the figures as one line."""
        return (
            f"{self.found} of {self.asked} {self.of} found at rank 1 ({self.share:.0%}, by chance "
            f"{self.chance:.1%}), median cosine {self.cosine:.3f}"
        )


def check_model(
    index: LocalIndex, encoders: QueryEncoders, name: str, access: AccessPolicy
) -> Iterator[str]:
    """Yield lines that say whether the model of `encoders`, called `name`, made the index.

    Raises:
        InputDataError: it did not, or there is nothing to measure it by.
    """
    evidence = _evidence(index, encoders, access)
    yield f"measured      {evidence}"
    if not evidence.fits:
        msg = (
            f"{index.info.location}: {name} is not the model of this index, or not with this "
            f"preparation: {evidence}."
        )
        raise InputDataError(msg)
    yield f"verdict       {name} is the model of this index"


def _evidence(index: LocalIndex, encoders: QueryEncoders, access: AccessPolicy) -> Evidence:
    count = index.info.rows or 0
    ids = np.random.default_rng(0).choice(count, min(_TRIED, count), replace=False)
    rows = index.metadata([int(i) for i in ids]).to_pylist()
    columns = find_columns(index.info.columns, ColumnChoice())
    images = _embedded(own_images(rows, columns.url, access), encoders)
    if len(images) >= _LEAST:
        return _of_images(index, {int(ids[place]): v for place, v in images.items()})
    caption = columns.caption
    captions = {n: text for n, row in enumerate(rows) if caption and (text := row[caption])}
    texts = _embedded(captions, encoders)
    if len(texts) >= _LEAST:
        return _of_captions(index, texts, [row[caption] for row in rows], str(caption))
    msg = (
        f"{index.info.location}: of {len(rows)} rows, {len(images)} have an image that can still "
        f"be had and {len(texts)} a caption, too few to measure a model by."
    )
    raise InputDataError(msg)


def _embedded(cells: Mapping[int, str | bytes], encoders: QueryEncoders) -> dict[int, FloatArray]:
    """Return the vectors of those cells that can be embedded."""
    found = {}
    for place, cell in cells.items():
        try:
            found[place] = encoders.vector(cell)
        except BadRequestError:
            continue
    return found


def _of_images(index: LocalIndex, vectors: Mapping[int, FloatArray]) -> Evidence:
    """Look images up; one also counts as found if those before it are copies, just as near."""
    hits = _nearest(index, list(vectors.values()), ())
    found = 0
    for place, own in enumerate(vectors):
        mine = hits.query == place
        ids, similarity = hits.index_id[mine], hits.similarity[mine]
        found += bool((similarity[ids == own] >= similarity[:1] - _TIE).any())
    best = hits.similarity[hits.ranks() == 0]
    return Evidence("images", len(vectors), found, float(np.median(best)), _by_chance(index))


def _of_captions(
    index: LocalIndex, vectors: Mapping[int, FloatArray], captions: Sequence[str], column: str
) -> Evidence:
    """Look captions up; one counts as found if the nearest image has the same caption."""
    hits = _nearest(index, list(vectors.values()), [column])
    first = hits.keep(hits.ranks() == 0)
    wanted = [captions[place] for place in vectors]
    nearest = first.metadata[column].to_pylist()
    found = sum(wanted[q] == text for q, text in zip(first.query, nearest, strict=True))
    others = max(1, len(captions) - 1)
    chance = float(np.mean([(captions.count(text) - 1) / others for text in wanted]))
    cosine = float(np.median(first.similarity))
    return Evidence("captions", len(wanted), found, cosine, max(chance, _by_chance(index)))


def _by_chance(index: LocalIndex) -> float:
    return 1 / max(1, index.info.rows or 1)


def _nearest(index: LocalIndex, vectors: Sequence[FloatArray], columns: Sequence[str]) -> Any:
    queries = unit_vectors(np.stack(vectors))
    return index.search(queries, _AMONG, columns=columns, duplicate_threshold=None)
