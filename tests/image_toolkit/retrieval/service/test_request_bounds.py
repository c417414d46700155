"""One caller can neither block the server for others nor reach it under a foreign name."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_toolkit.retrieval.service.request_bounds import RequestBounds
from image_toolkit.served_names import is_loopback
from tests.fuzzing import fuzz
from tests.image_toolkit.retrieval.service.serving import serve_index

TIGHT = RequestBounds(most_bytes=100_000, seconds=3.0, at_once=8, threads=2)
QUERY = {"modality": "image", "num_images": 3, "indice_name": "small", "text": "a cat"}


class Waiting:
    """Encodes `slow` once it is told to, anything else at once."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.told = threading.Event()

    def vector(self, cell: str | bytes) -> np.ndarray:
        """Return the vector of a text."""
        if cell == "slow":
            self.begun.set()
            self.told.wait(60)
        return np.ones(16, np.float32)


def test_a_search_does_not_hold_up_the_next(small_index: Any) -> None:
    """While one query takes its time, others are answered."""
    encoders = Waiting()
    with serve_index(small_index.folder, encoders=encoders) as url:
        slow: list[int] = []
        body = {**QUERY, "text": "slow"}
        asking = threading.Thread(
            target=lambda: slow.append(
                httpx.post(f"{url}/knn-service", json=body, timeout=60).status_code
            )
        )
        asking.start()
        assert encoders.begun.wait(60)
        ids = {"ids": [1], "indice_name": "small"}
        answers = [
            httpx.post(f"{url}/knn-service", json=QUERY, timeout=30).status_code,
            httpx.post(f"{url}/metadata", json=ids, timeout=30).status_code,
        ]
        assert (answers, slow) == ([200, 200], [])
        encoders.told.set()
        asking.join(60)
        assert slow == [200]


def test_metadata_is_given_for_so_many_rows(small_index: Any) -> None:
    """A million ids are refused at once; ten thousand are answered."""
    with serve_index(small_index.folder) as url:
        million = {"ids": [1] * 1_000_000, "indice_name": "small"}
        refused = httpx.post(f"{url}/metadata", json=million, timeout=60)
        many = {"ids": [1] * 10_000, "indice_name": "small"}
        answered = httpx.post(f"{url}/metadata", json=many, timeout=60)
    assert refused.status_code == 400
    assert refused.json()["message"] == (
        "`ids` has 1000000 numbers; ask for 10000 at most at a time"
    )
    assert len(answered.json()) == 10_000


def test_a_body_has_a_size_and_a_deadline(small_index: Any) -> None:
    """A body that is too long, or does not come, is refused, and others are answered meanwhile."""
    with serve_index(small_index.folder, bounds=TIGHT, encoders=Waiting()) as url:
        port = urlsplit(url).port
        late = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(6)]
        for connection in late:
            connection.sendall(
                b"POST /knn-service HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"
            )
        assert httpx.post(f"{url}/knn-service", json=QUERY, timeout=30).status_code == 200
        for connection in late:
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
            connection.close()
        long = httpx.post(f"{url}/knn-service", content=b" " * 100_001, timeout=30)
        assert (long.status_code, list(long.json())) == (413, ["message"])


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST", 200),
        ("LocalHost:1234", 200),
        ("127.0.0.1:1234", 200),
        ("127.0.0.2", 200),
        ("[::1]", 200),
        ("[::1]:1234", 200),
        ("[0:0:0:0:0:0:0:1]:80", 200),
        ("::1", 403),
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("localhost.evil.example", 403),
        ("localhost:80@evil.example", 403),
        ("[::1].evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ],
)
def test_names_under_which_a_request_may_come(small_index: Any, name: str, status: int) -> None:
    """On loopback, a request under another host name, as from a rebound DNS name, is refused."""
    with serve_index(small_index.folder) as url:
        assert httpx.get(f"{url}/indices-list", headers={"Host": name}).status_code == status


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("my-host", False),
    ],
)
def test_which_addresses_are_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001
    """Only addresses of this machine itself count as such."""
    assert is_loopback(host) is loopback


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server with an encoder."""
    from tests.image_toolkit.retrieval.conftest import (  # noqa: PLC0415
        metadata_of,
        random_vectors,
        write_index,
    )

    folder: Path = tmp_path_factory.mktemp("served") / "index"
    write_index(folder, random_vectors(50), metadata_of(50))
    with (
        serve_index(folder, encoders=Waiting()) as url,
        httpx.Client(base_url=url, timeout=10) as client,
    ):
        yield client


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "indice_name",
    "modality",
    "num_images",
    "num_result_ids",
    "text",
    "image",
    "image_url",
    "embedding_input",
    "deduplicate",
    "use_safety_model",
    "aesthetic_score",
    "aesthetic_weight",
    "ids",
]
RIGHT = {
    "indice_name": "small",
    "modality": "image",
    "num_images": 2,
    "embedding_input": [1.0] * 16,
    "ids": [0, 1],
}


@pytest.mark.parametrize("depth", [50, 900, 100_000])
@pytest.mark.parametrize("path", ["knn-service", "metadata"])
def test_depth_is_no_defect(served: httpx.Client, depth: int, path: str) -> None:
    """A body that nests without end is refused like any other that is not right."""
    deep = f"{'[' * depth}{']' * depth}"
    for body in (deep, '{"a": ' * depth, json.dumps(RIGHT)[:-1] + f', "embedding_input": {deep}}}'):
        answer = served.post(f"/{path}", content=body)
        assert answer.status_code in (200, 400)


@fuzz(150)
@given(
    changes=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4),
    path=st.sampled_from(["knn-service", "metadata"]),
)
def test_any_body_is_answered_or_refused(
    served: httpx.Client, changes: dict[str, Any], path: str
) -> None:
    """Whatever JSON a caller sends, the answer is one, or says what is wrong with it."""
    body = json.dumps({**RIGHT, **changes})
    answer = served.post(f"/{path}", content=body.encode("utf-8", "surrogatepass"))
    assert answer.status_code in (200, 400)
    assert answer.status_code == 200 or answer.json()["message"]
