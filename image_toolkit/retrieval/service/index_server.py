"""Serve indexes over clip-retrieval's `/knn-service` protocol, so that one serves a team.

Nothing is fetched on a caller's behalf: an image comes as base64, never as a URL. A server on a
loopback address answers to the names of that address only, so that no web page can reach it by
pointing a name of its own there.
"""

import asyncio
import ipaddress
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from image_toolkit.retrieval.search.aesthetics import Aesthetics, unit_vectors
from image_toolkit.retrieval.search.columns import ColumnChoice, MetadataColumns, find_columns
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.hits import (
    CLIP_RETRIEVAL_DUPLICATE_THRESHOLD,
    FloatArray,
    Hits,
)
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.service.query_requests import BadRequestError, KnnRequest, read_request

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MOST_BYTES: Final = 16 << 20
_SAFE: Final = HitFilters(max_unsafe=0.5, max_watermark=1)


class Encoders(Protocol):
    """Embeds the texts and images of queries."""

    def vector(self, cell: str | bytes) -> FloatArray:
        """Return the vector of a text or of an encoded image."""


@dataclass(frozen=True)
class Server:
    """Answers requests from local indexes, by name.

    Args:
        indexes: The indexes.
        modality: The vectors they hold: `image` or `text`.
        encoders: Embeds texts and images; None answers queries by vector only.
        aesthetic_embeddings: Folder of the ratings' vectors; None ignores aesthetic scores, as
            clip-retrieval does without them.
    """

    indexes: Mapping[str, LocalIndex]
    modality: str = "image"
    encoders: Encoders | None = None
    aesthetic_embeddings: Path | None = None

    def info(self) -> dict[str, Any]:
        """Return what a client should know of each index before it asks."""
        return {
            name: {
                "model_id": index.info.model_id,
                "dimension": index.info.dimension,
                "rows": index.info.rows,
                "fingerprint": index.info.fingerprint,
                "columns": index.info.columns,
                "aesthetics": self.aesthetic_embeddings is not None,
            }
            for name, index in self.indexes.items()
        }

    def answer(self, request: KnnRequest) -> list[dict[str, Any]]:
        """Return the hits for a request, as the protocol has them.

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
        """Return the index of this name.

        Raises:
            BadRequestError: there is none.
        """
        if name not in self.indexes:
            msg = f"there is no index {name!r}, but {', '.join(map(repr, self.indexes))}"
            raise BadRequestError(msg)
        return self.indexes[name]

    def _query(self, request: KnnRequest, index: LocalIndex) -> FloatArray:
        vector = request.embedding
        if vector is None:
            if self.encoders is None:
                msg = "this server has no CLIP model for texts and images; send `embedding_input`"
                raise BadRequestError(msg)
            vector = self.encoders.vector(request.text or request.image or b"")
        if len(vector) != index.info.dimension:
            msg = f"the query has {len(vector)} dimensions, the index {index.info.dimension}"
            raise BadRequestError(msg)
        aesthetics = Aesthetics(
            request.aesthetic_score, request.aesthetic_weight, self.aesthetic_embeddings
        )
        return aesthetics.apply(unit_vectors(vector[None]))


def make_app(server: Server, host: str) -> web.Application:
    """Return the web application; `host` is the address it is going to listen on."""
    searcher = ThreadPoolExecutor(1, "search")

    async def in_thread(function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(searcher, function)

    async def knn(request: web.Request) -> web.Response:
        wanted = read_request(await _json(request))
        return _response(await in_thread(lambda: server.answer(wanted)))

    async def metadata(request: web.Request) -> web.Response:
        content = await _json(request)
        return _response(await in_thread(lambda: _metadata(server, content)))

    async def names(_: web.Request) -> web.Response:
        return _response(list(server.indexes))

    async def info(_: web.Request) -> web.Response:
        return _response(server.info())

    app = web.Application(client_max_size=_MOST_BYTES, middlewares=[_guard(host)])
    app.router.add_post("/knn-service", knn)
    app.router.add_post("/metadata", metadata)
    app.router.add_get("/indices-list", names)
    app.router.add_get("/index-info", info)
    return app


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _guard(host: str) -> Any:
    """Return the middleware that checks the Host header and turns errors into answers."""
    local = is_loopback(host)

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        name = request.host.rsplit(":", maxsplit=1)[0] if ":" in request.host else request.host
        if local and name not in _LOOPBACK_NAMES:
            return _response({"message": f"not known as {request.host!r} here"}, status=403)
        try:
            return await handler(request)
        except BadRequestError as error:
            return _response({"message": str(error)}, status=400)

    return guard


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        msg = "the body must be JSON"
        raise BadRequestError(msg) from None


def _metadata(server: Server, content: Any) -> list[dict[str, Any]]:
    """Return the metadata of rows by id."""
    ids = content.get("ids") if isinstance(content, dict) else None
    if not isinstance(ids, list):
        msg = "`ids` must be a list of row numbers"
        raise BadRequestError(msg)
    found = server.index(str(content.get("indice_name"))).metadata(ids)
    return [
        {"id": index_id, "metadata": _plain(row)}
        for index_id, row in zip(ids, found.to_pylist(), strict=True)
    ]


def _without_unsafe(hits: Hits, columns: tuple[str, ...]) -> Hits:
    named: MetadataColumns = find_columns(columns, ColumnChoice())
    return _SAFE.apply(hits, named, unique_urls=False)


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
    """Return a row that JSON can hold: NaN and infinities become null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _response(content: Any, status: int = 200) -> web.Response:
    body = json.dumps(content, default=str)
    return web.Response(text=body, status=status, content_type="application/json")
