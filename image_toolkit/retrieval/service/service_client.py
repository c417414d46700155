"""A clip-retrieval service as an index: its `/knn-service` protocol over HTTP.

Queries share one connection pool and run concurrently at a limited rate, each with a total timeout;
temporary failures (a lost connection, 429, 5xx, a non-JSON answer) are retried with growing pauses.
A query that stays unanswered is a failure with its reason, never a wrong row.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.hits import Failure, FloatArray, Hits, Index, IndexInfo
from image_toolkit.retrieval.search.model_identity import ModelIdentity
from image_toolkit.retrieval.service.service_answers import Hit, metadata_table, read_answer
from image_toolkit.retrieval.service.service_http import Http, RequestFailedError
from image_toolkit.retrieval.service.service_settings import ServiceSettings

KNN_PATH: Final = "/knn-service"
GONE: Final = (
    "(LAION's own public service has been down since December 2023.) Start one with "
    "`clip-retrieval back` or `fondant-spec index serve`, or name a local `index` instead."
)
_PROBE_COUNT: Final = 10


@dataclass(frozen=True)
class Service:
    """Where a service is, and how to query it.

    Args:
        url: Its URL, with or without `/knn-service`.
        indice_name: Which of its indexes; None if it has only one.
        modality: `image` or `text`: the vectors to search.
        aesthetics: Applied by the service, unless they come with their own vectors.
        settings: Limits and options of the queries.
    """

    url: str
    indice_name: str | None = None
    modality: str = "image"
    aesthetics: Aesthetics = field(default_factory=Aesthetics)
    settings: ServiceSettings = field(default_factory=ServiceSettings)

    @property
    def root(self) -> str:
        """The URL without `/knn-service`."""
        return self.url.rstrip("/").removesuffix(KNN_PATH)

    def open(self) -> "ServiceIndex":
        """Return the index, after checking that the service is up and has it.

        Raises:
            InputDataError: it cannot be reached, or has no such index.
        """
        return ServiceIndex(self)

    def request(self, indice_name: str, query: FloatArray, count: int, *, distinct: bool) -> Any:
        """Return the JSON of a query."""
        aesthetics = self.aesthetics
        moved_here = aesthetics.aesthetic_embeddings is not None
        scored = aesthetics.aesthetic_score is not None and not moved_here
        return {
            "text": None,
            "image": None,
            "image_url": None,
            "embedding_input": query.tolist(),
            "modality": self.modality,
            "num_images": count,
            "num_result_ids": count,
            "indice_name": indice_name,
            "use_mclip": False,
            "deduplicate": distinct,
            "use_safety_model": self.settings.use_safety_model,
            "use_violence_detector": self.settings.use_violence_detector,
            "aesthetic_score": aesthetics.aesthetic_score if scored else "",
            "aesthetic_weight": aesthetics.aesthetic_weight if scored else "",
        }


class ServiceIndex(Index):
    """Answers from a clip-retrieval service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._runner = asyncio.Runner()
        self._http = Http(service.settings)
        try:
            self._name, self.info = self._runner.run(self._handshake())
        except BaseException:
            self.close()
            raise

    def probe(self, dimension: int) -> None:
        """Send one query, to learn early whether vectors of this dimension are accepted.

        The answer provides the names of the metadata columns, and a fingerprint if the index does
        not state its own.

        Raises:
            InputDataError: the service does not answer it.
        """
        query = np.ones(dimension, np.float32) / np.sqrt(dimension, dtype=np.float32)
        answer = self._runner.run(self._answers(query[None], _PROBE_COUNT, distinct=False))[0]
        if isinstance(answer, Failure):
            msg = (
                f"{self.info.location}: no answer to a query of {dimension} dimensions "
                f"({answer.message}). Is {self._name!r} an index of another CLIP model?"
            )
            raise InputDataError(msg, temporary=answer.passing)
        found = [[hit.index_id, round(hit.similarity, 4)] for hit in answer]
        own = hashlib.sha256(json.dumps([self.info.location, found]).encode()).hexdigest()[:16]
        columns = dict.fromkeys(name for hit in answer for name in hit.metadata)
        self.info = replace(
            self.info,
            dimension=dimension,
            fingerprint=self.info.fingerprint or own,
            columns=self.info.columns or tuple(columns) or None,
        )

    def search(
        self,
        queries: FloatArray,
        count: int,
        *,
        columns: Sequence[str],
        duplicate_threshold: float | None,
        with_vectors: bool = False,  # noqa: ARG002 - a service returns none
    ) -> Hits:
        """Return up to `count` nearest rows for each query; see `Index.search`.

        The service applies its own duplicate threshold.
        """
        distinct = duplicate_threshold is not None
        answers = self._runner.run(self._answers(queries, count, distinct=distinct))
        failures = {n: a for n, a in enumerate(answers) if isinstance(a, Failure)}
        hits = [(n, hit) for n, a in enumerate(answers) if not isinstance(a, Failure) for hit in a]
        return Hits(
            np.array([n for n, _ in hits], np.int64),
            np.array([hit.index_id for _, hit in hits], np.int64),
            np.array([hit.similarity for _, hit in hits], np.float32),
            metadata_table([hit.metadata for _, hit in hits], columns),
            failures,
        )

    def check_answers(self) -> None:
        """Check that the service still answers at all; see `Index.check_answers`."""
        self._runner.run(self._names())

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._http.close())
        self._runner.close()

    async def _handshake(self) -> tuple[str, IndexInfo]:
        """Return the name of the index and what the service states about it."""
        root = self._service.root
        name = _choose(await self._names(), self._service.indice_name, root)
        described = await self._description(name)
        aesthetics = self._service.aesthetics
        if described.get("aesthetics") is False and aesthetics.aesthetic_embeddings is None:
            aesthetics.check_folder()
        return name, IndexInfo(
            location=f"{root}{KNN_PATH} ({name})",
            fingerprint=str(described.get("fingerprint") or ""),
            dimension=described.get("dimension"),
            rows=described.get("rows"),
            model=ModelIdentity.of_field(described),
            columns=tuple(described.get("columns") or ()) or None,
        )

    async def _names(self) -> object:
        """Return the service's list of its indexes, or None if it has no such list.

        Raises:
            InputDataError: the service is unreachable.
        """
        root = self._service.root
        try:
            return await self._http.get_json(f"{root}/indices-list")
        except RequestFailedError as error:
            if error.unreachable:
                msg = f"url: {root} cannot be reached ({error}). {GONE}"
                raise InputDataError(msg) from error
            if error.passing and error.reason != "bad_answer":
                msg = f"url: {root} is in trouble ({error})."
                raise InputDataError(msg, temporary=True) from error
            return None

    async def _description(self, name: str) -> Mapping[str, Any]:
        """Return what `fondant-spec index serve` states about an index; empty for other servers."""
        try:
            content = await self._http.get_json(f"{self._service.root}/index-info", attempts=1)
        except RequestFailedError:
            return {}
        found = content.get(name) if isinstance(content, dict) else None
        return found if isinstance(found, dict) else {}

    async def _answers(
        self, queries: FloatArray, count: int, *, distinct: bool
    ) -> list[list[Hit] | Failure]:
        asked = [
            self._answer(self._service.request(self._name, query, count, distinct=distinct), count)
            for query in queries
        ]
        return await asyncio.gather(*asked)

    async def _answer(self, request: Any, count: int) -> list[Hit] | Failure:
        try:
            return await self._http.post_json(
                self._service.root + KNN_PATH, request, lambda content: read_answer(content, count)
            )
        except RequestFailedError as error:
            return Failure(error.reason, str(error), error.attempts, passing=error.passing)


def _choose(names: object, wanted: str | None, root: str) -> str:
    """Choose the index to query, given the service's list of names, if any."""
    listed = [str(name) for name in names] if isinstance(names, list) else []
    if wanted is None and len(listed) == 1:
        return listed[0]
    if wanted is None or (listed and wanted not in listed):
        known = f"it has {', '.join(map(repr, listed))}" if listed else "it does not list its own"
        msg = f"indice_name: name the index that {root} is to search; {known}."
        raise InputDataError(msg)
    return wanted
