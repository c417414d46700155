"""A failing clip-retrieval service is retried or reported, and never gives wrong rows."""

import asyncio
import math
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.hits import Hits
from image_toolkit.retrieval.service import service_http
from image_toolkit.retrieval.service.service_answers import (
    BadAnswerError,
    metadata_table,
    read_answer,
)
from image_toolkit.retrieval.service.service_client import Service
from image_toolkit.retrieval.service.service_settings import ServiceSettings
from tests.image_toolkit.retrieval.service.faulty_service import (
    FaultyService,
    Reply,
    body,
    for_query,
    hang_up,
    hits,
    serving,
    slow,
    status,
    truncated,
)
from tests.moved_clock import run_at_once

HTML = body(b"<html>Sorry</html>", Content_Type="text/html")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_toolkit.retrieval.service.service_http._FIRST_PAUSE", 0.01)


def search(
    replies: Sequence[Reply],
    queries: int = 1,
    count: int = 3,
    **settings: Any,
) -> tuple[Hits, FaultyService]:
    """Ask a service with these replies one query after another."""
    service = FaultyService(replies)
    with serving(service) as url:
        quick = {"queries_per_second": 0, "concurrency": 1, "timeout": 30, **settings}
        index = Service(url, settings=ServiceSettings(**quick)).open()
        vectors = np.array([[(n + 1) / 1000, 1] for n in range(queries)], np.float32)
        try:
            found = index.search(vectors, count, columns=["url", "width"], duplicate_threshold=None)
        finally:
            index.close()
    return found, service


@pytest.mark.parametrize(
    "failure",
    [status(500), status(502), status(429, Retry_After="0"), HTML, truncated, hang_up, body(b"[{")],
)
def test_what_may_pass_is_tried_again(failure: Reply) -> None:
    """Errors, HTML, broken JSON and lost connections are tried again; then the rows are right."""
    found, service = search([failure, failure, hits])

    assert found.index_id.tolist() == [1000, 1001, 1002]
    assert np.allclose(found.similarity, [0.9, 0.89, 0.88])
    assert found.metadata["url"].to_pylist() == [f"http://a.example/1/{i}.jpg" for i in range(3)]
    assert found.metadata["width"].to_pylist() == [None] * 3
    assert not found.failures
    assert len(service.queries) == 3


@pytest.mark.parametrize(
    ("reply", "reason", "message", "attempts"),
    [
        (status(500), "service_error", '500 Internal Server Error: {"message": "no"}', 3),
        (status(429), "service_busy", '429 Too Many Requests: {"message": "no"}', 3),
        (status(403), "service_refused", '403 Forbidden: {"message": "no"}', 1),
        (
            status(302, Location="http://x.example/"),
            "service_refused",
            "302, moved to http://x.example/; name that address",
            1,
        ),
        (HTML, "bad_answer", "the answer is no JSON but text/html", 3),
        (truncated, "bad_answer", "the answer broke off", 3),
        (hang_up, "service_unreachable", "ServerDisconnectedError", 3),
        (slow, "service_timeout", "no answer within 0.3 s", 3),
        (body(b'{"message": "bad"}'), "bad_answer", "expected a list of hits, not bad", 3),
        (
            body(b'[{"id": 1, "similarity": "high"}]'),
            "bad_answer",
            "a hit has no whole `id` or no numeric `similarity`",
            3,
        ),
    ],
)
def test_what_does_not_pass_is_reported(
    reply: Reply, reason: str, message: str, attempts: int
) -> None:
    """A query that stays unanswered is a failure with its reason; the next one is unharmed."""
    timeout = 0.3 if reply is slow else 30
    found, _ = search([for_query(0, reply)], queries=2, retries=2, timeout=timeout)

    failure = found.failures[0]
    assert (failure.reason, failure.attempts) == (reason, attempts)
    assert failure.message.startswith(message)
    assert found.query.tolist() == [1, 1, 1]
    assert found.index_id.tolist() == [2000, 2001, 2002]


def test_fewer_hits_than_wanted() -> None:
    """A service that has fewer hits, or none, is believed."""
    few = [lambda handler, query, rows=rows: hits(handler, query, rows) for rows in (1, 0)]
    found, _ = search([*few, hits], queries=3)

    assert found.counts(3).tolist() == [1, 0, 3]
    assert not found.failures


def test_a_service_that_is_gone_is_not_waited_for() -> None:
    """After twenty failures in a row, no query is tried again."""
    found, service = search([hang_up], queries=30, retries=4)

    assert len(found.failures) == 30
    assert len(service.queries) < 30 + 20


def test_a_service_killed_in_mid_run() -> None:
    """What was answered before the service died is kept, the rest is reported."""
    service = FaultyService([hits])
    with serving(service) as url:
        settings = ServiceSettings(queries_per_second=0, concurrency=1, retries=1)
        index = Service(url, settings=settings).open()
        vectors = np.array([[0.001, 1], [0.002, 1]], np.float32)
        before = index.search(vectors, 2, columns=["url"], duplicate_threshold=None)
    after = index.search(vectors, 2, columns=["url"], duplicate_threshold=None)
    index.close()

    assert before.index_id.tolist() == [1000, 1001, 2000, 2001]
    assert len(after) == 0
    assert {f.reason for f in after.failures.values()} == {"service_unreachable"}


def test_the_rate_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more queries begin in a second than allowed, however many may be under way."""
    begun: list[float] = []

    async def begin(*_: object) -> None:
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(10)

    async def ask_six_times() -> None:
        clock = SimpleNamespace(monotonic=asyncio.get_running_loop().time)
        monkeypatch.setattr(service_http, "time", clock)
        http = service_http.Http(ServiceSettings(queries_per_second=20, concurrency=6))
        monkeypatch.setattr(http, "_once", begin)
        await asyncio.gather(*(http.get_json("http://x/") for _ in range(6)))

    run_at_once(ask_six_times())
    assert begun == pytest.approx([number / 20 for number in range(6)])


def test_queries_overlap_within_the_limit() -> None:
    """Queries are under way at the same time, as many as allowed and no more."""
    three = threading.Barrier(3, timeout=60)

    def leisurely(handler: Any, query: Any) -> None:
        three.wait()
        hits(handler, query)

    found, service = search([leisurely], queries=12, concurrency=3, timeout=60)

    assert len(found) == 36
    assert service.most_at_once == 3


def test_retry_after_holds_all_queries() -> None:
    """When a service asks for a pause, no query is sent until it is over."""
    _, service = search(
        [status(429, Retry_After="1"), hits], queries=3, concurrency=1, queries_per_second=1000
    )

    assert len(service.queries) == 4
    assert min(service.times[1:]) - service.times[0] > 0.9


def test_the_request() -> None:
    """All settings of clip-retrieval's service are sent."""
    aesthetics = Aesthetics(9, 0.25)
    service = Service(
        "http://x/knn-service/",
        modality="text",
        aesthetics=aesthetics,
        settings=ServiceSettings(use_safety_model=False),
    )

    request = service.request("laion", np.array([1.0, 0.5], np.float32), 7, distinct=True)

    assert service.root == "http://x"
    assert request == {
        "text": None,
        "image": None,
        "image_url": None,
        "embedding_input": [1.0, 0.5],
        "modality": "text",
        "num_images": 7,
        "num_result_ids": 7,
        "indice_name": "laion",
        "use_mclip": False,
        "deduplicate": True,
        "use_safety_model": False,
        "use_violence_detector": True,
        "aesthetic_score": 9,
        "aesthetic_weight": 0.25,
    }


def test_aesthetics_with_vectors_of_ones_own(tmp_path: Path) -> None:
    """Ratings that are applied here already are not applied by the service again."""
    service = Service("http://x", aesthetics=Aesthetics(9, 0.25, tmp_path))

    request = service.request("laion", np.ones(2, np.float32), 7, distinct=False)

    assert (request["aesthetic_score"], request["aesthetic_weight"]) == ("", "")


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        (["a", "b"], None, "it has 'a', 'b'."),
        (["a", "b"], "c", "it has 'a', 'b'."),
        ([], "c", None),
        (None, None, "it does not list its own."),
        (None, "c", None),
        (["a"], None, None),
    ],
)
def test_the_name_of_the_index(names: Any, wanted: str | None, message: str | None) -> None:
    """The only index is taken; otherwise one has to be named, and has to be there."""
    with serving(FaultyService([hits], names)) as url:
        if message is None:
            index = Service(url, wanted).open()
            assert (wanted or "a") in index.info.location
            index.close()
            return
        with pytest.raises(InputDataError) as error:
            Service(url, wanted).open()

    assert str(error.value) == f"indice_name: name the index that {url} is to search; {message}"


def test_an_unreachable_service_is_reported_in_a_line() -> None:
    """A service that is not there is reported at once, with what to do instead."""
    with serving(FaultyService([hits])) as url:
        pass

    with pytest.raises(InputDataError) as error:
        Service(f"{url}/knn-service", settings=ServiceSettings(retries=0)).open()

    message = str(error.value)
    assert message.startswith(f"url: {url} cannot be reached (ClientConnectorError: ")
    assert message.endswith(
        "(LAION's own public service has been down since December 2023.) Start one with "
        "`clip-retrieval back` or `fondant-spec index serve`, or name a local `index` instead."
    )
    assert "\n" not in message


def test_a_probe_finds_a_wrong_dimension() -> None:
    """A service that cannot answer queries of the seeds' dimension is found before any are sent."""
    with serving(FaultyService([status(500)])) as url:
        index = Service(url, settings=ServiceSettings(retries=1)).open()
        with pytest.raises(InputDataError) as error:
            index.probe(32)
        index.close()

    assert str(error.value) == (
        f"{url}/knn-service (small): no answer to a query of 32 dimensions (500 Internal Server "
        f'Error: {{"message": "no"}}). Is \'small\' an index of another CLIP model?'
    )


def test_a_probe_finds_columns_and_fingerprint() -> None:
    """From one answer come the names of the columns, and a fingerprint that is the same again."""
    infos = []
    with serving(FaultyService([hits])) as url:
        for _ in range(2):
            index = Service(url).open()
            index.probe(4)
            infos.append(index.info)
            index.close()

    assert infos[0].columns == ("url", "caption")
    assert infos[0].dimension == 4
    assert infos[0] == infos[1]
    assert len(infos[0].fingerprint) == 16


def test_answers_are_put_in_order() -> None:
    """Hits come best first, each row once, without rows -1."""
    answer = [
        {"id": 4, "similarity": 0.5, "url": "d"},
        {"id": 2, "similarity": 1, "url": "a"},
        {"id": 4, "similarity": 0.5, "url": "d"},
        {"id": -1, "similarity": 0.4},
    ]

    assert [(hit.index_id, hit.similarity) for hit in read_answer(answer, 4)] == [(2, 1), (4, 0.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"message": "Internal Server Error"}, "expected a list of hits, not Internal Server"),
        ("text", "expected a list of hits, not str"),
        (None, "expected a list of hits, not NoneType"),
        ([{"id": 1, "similarity": 0.1}] * 3, "3 hits instead of at most 2"),
        ([3], "a hit is int, not an object"),
        ([{"id": 1.5, "similarity": 0.1}], "a hit has no whole `id`"),
        ([{"id": True, "similarity": 0.1}], "a hit has no whole `id`"),
        ([{"similarity": 0.1}], "a hit has no whole `id`"),
        ([{"id": 1, "similarity": None}], "no numeric `similarity`"),
        ([{"id": 1, "similarity": math.nan}], "the similarity of 1 is nan"),
    ],
)
def test_answers_that_are_none(content: object, message: str) -> None:
    """An answer that is not what the protocol says is not believed."""
    with pytest.raises(BadAnswerError, match=message):
        read_answer(content, 2)


@pytest.mark.parametrize(
    ("credentials", "header"),
    [("me:hush", "Basic bWU6aHVzaA=="), ("hush", "Bearer hush"), (None, None)],
)
def test_who_signs_in(credentials: str | None, header: str | None) -> None:
    """A user and password, or a token, are shown to the service, and in no text."""
    seen = []

    def noting(handler: BaseHTTPRequestHandler, query: Any) -> None:
        seen.append(handler.headers["Authorization"])
        hits(handler, query)

    search([noting], credentials=credentials)
    assert seen == [header]
    assert "hush" not in repr(ServiceSettings(credentials=credentials))


def test_metadata_of_mixed_kinds() -> None:
    """Columns keep their kind; values of several kinds become texts, missing ones null."""
    rows = [{"url": "a", "width": 1, "odd": 1}, {"url": "b", "odd": "x"}, {"width": 3, "odd": None}]

    table = metadata_table(rows, ["url", "width", "odd", "none"])

    assert table.to_pydict() == {
        "url": ["a", "b", None],
        "width": [1, None, 3],
        "odd": ["1", "x", None],
        "none": [None, None, None],
    }
