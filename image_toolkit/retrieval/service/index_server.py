"""Serve indexes over clip-retrieval's `/knn-service` protocol, so that a team can share them.

The server fetches nothing on a caller's behalf: images are sent as base64, never as a URL.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.columns import ColumnChoice, find_columns, score_columns
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.hits import (
    CLIP_RETRIEVAL_DUPLICATE_THRESHOLD,
    FloatArray,
    Hits,
)
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.service.query_requests import (
    MOST_RESULTS,
    BadRequestError,
    KnnRequest,
    read_request,
)
from image_toolkit.retrieval.service.request_bounds import (
    Answering,
    RequestBounds,
    guard,
    json_response,
)
from image_toolkit.unit_vectors import unit_vectors

_SAFE: Final = HitFilters(max_unsafe=0.5, max_watermark=1)


class Encoders(Protocol):
    """Embeds the texts and images of queries."""

    def vector(self, cell: str | bytes) -> FloatArray:
        """Return the vector of a text or of an encoded image."""


@dataclass(frozen=True)
class Server:
    """Answers requests from local indexes, by name.

    Args:
        indexes: The indexes by name.
        modality: The vectors they hold: `image` or `text`.
        encoders: Embeds texts and images; None accepts only vectors as queries.
        aesthetic_embeddings: Folder of the rating vectors; None ignores aesthetic scores, as
            clip-retrieval does without them.
    """

    indexes: Mapping[str, LocalIndex]
    modality: str = "image"
    encoders: Encoders | None = None
    aesthetic_embeddings: Path | None = None

    def __post_init__(self) -> None:
        """Check that unsafe images can be recognised, for requests that exclude them.

        Raises:
            InputDataError: the type of an index's score column cannot be a score.
        """
        for index in self.indexes.values():
            _SAFE.check(index.schema, score_columns(index.info.columns or ()))

    def info(self) -> dict[str, Any]:
        """Return what a client should know of each index before it queries."""
        return {
            name: {
                **(index.info.model.as_field() if index.info.model else {"model_id": None}),
                "dimension": index.info.dimension,
                "rows": index.info.rows,
                "fingerprint": index.info.fingerprint,
                "columns": index.info.columns,
                "aesthetics": self.aesthetic_embeddings is not None,
            }
            for name, index in self.indexes.items()
        }

    def answer(self, request: KnnRequest) -> list[dict[str, Any]]:
        """Return the hits for a request, in the form of the protocol.

        Raises:
            BadRequestError: the request does not suit the index.
        """
        index = self.index(request.indice_name)
        if request.modality != self.modality:
            msg = f"this index holds {self.modality} vectors, not those of `{request.modality}`"
            raise BadRequestError(msg)
        query = self._query(request, index)
        threshold = CLIP_RETRIEVAL_DUPLICATE_THRESHOLD if request.deduplicate else None
        columns = index.info.columns or ()
        hits = index.search(query, request.count, columns=columns, duplicate_threshold=threshold)
        if request.safe:
            hits = _without_unsafe(hits, columns)
        return _rows(hits, request.described)

    def index(self, name: str) -> LocalIndex:
        """Return the index with this name.

        Raises:
            BadRequestError: there is none.
        """
        if name not in self.indexes:
            msg = f"there is no index {name!r}, but {', '.join(map(repr, self.indexes))}"
            raise BadRequestError(msg)
        return self.indexes[name]

    def _query(self, request: KnnRequest, index: LocalIndex) -> FloatArray:
        """Return the query, shape (1, dimension); a vector that was sent is not normalised.

        This is as in clip-retrieval, where the similarity is the product with that vector.
        """
        vector = request.embedding
        if vector is None:
            if self.encoders is None:
                msg = "this server has no CLIP model for texts and images; send `embedding_input`"
                raise BadRequestError(msg)
            embedded = self.encoders.vector(request.text or request.image or b"")
            vector = unit_vectors(embedded[None])[0]
        if len(vector) != index.info.dimension:
            msg = f"the query has {len(vector)} dimensions, the index {index.info.dimension}"
            raise BadRequestError(msg)
        aesthetics = Aesthetics(
            request.aesthetic_score, request.aesthetic_weight, self.aesthetic_embeddings
        )
        return aesthetics.apply(vector[None])


def make_app(server: Server, host: str, bounds: RequestBounds | None = None) -> web.Application:
    """Return the web application; `host` is the address that it will listen on."""
    bounds = bounds or RequestBounds()
    answering = Answering(bounds)

    async def knn(request: web.Request) -> web.Response:
        return await answering.answer(request, lambda body: server.answer(read_request(body)))

    async def metadata(request: web.Request) -> web.Response:
        return await answering.answer(request, lambda body: _metadata(server, body))

    async def names(_: web.Request) -> web.Response:
        return json_response(json.dumps(list(server.indexes)))

    async def info(_: web.Request) -> web.Response:
        return json_response(json.dumps(server.info(), default=str))

    app = web.Application(client_max_size=bounds.most_bytes, middlewares=[guard(host)])
    app.on_cleanup.append(answering.close)
    app.router.add_post("/knn-service", knn)
    app.router.add_post("/metadata", metadata)
    app.router.add_get("/indices-list", names)
    app.router.add_get("/index-info", info)
    return app


def _metadata(server: Server, content: Any) -> list[dict[str, Any]]:
    """Return the metadata of rows by id."""
    ids = content.get("ids") if isinstance(content, dict) else None
    if not isinstance(ids, list):
        msg = "`ids` must be a list of row numbers"
        raise BadRequestError(msg)
    if len(ids) > MOST_RESULTS:
        msg = f"`ids` has {len(ids)} numbers; ask for {MOST_RESULTS} at most at a time"
        raise BadRequestError(msg)
    found = server.index(str(content.get("indice_name"))).metadata(ids)
    return [
        {"id": index_id, "metadata": _plain(row)}
        for index_id, row in zip(ids, found.to_pylist(), strict=True)
    ]


def _without_unsafe(hits: Hits, columns: tuple[str, ...]) -> Hits:
    return _SAFE.apply(hits, find_columns(columns, ColumnChoice()), unique_urls=False)


def _rows(hits: Hits, described: int) -> list[dict[str, Any]]:
    metadata = hits.metadata.slice(0, described).to_pylist()
    ids, similarities = hits.index_id.tolist(), hits.similarity.tolist()
    return [
        {
            **(_plain(metadata[number]) if number < described else {}),
            "id": index_id,
            "similarity": similarity,
        }
        for number, (index_id, similarity) in enumerate(zip(ids, similarities, strict=True))
    ]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for JSON: NaN and infinities become null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
