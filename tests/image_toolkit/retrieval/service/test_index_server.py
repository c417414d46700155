"""Our server speaks clip-retrieval's protocol, and does nothing else for a caller."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.service.service_client import Service
from tests.image_toolkit.retrieval.service.serving import serve_index

NEEDED = {"modality": "image", "num_images": 3, "indice_name": "small"}


def ask(url: str, **content: Any) -> httpx.Response:
    """Post a query."""
    return httpx.post(f"{url}/knn-service", json={**NEEDED, **content})


def test_hits(small_index: Any) -> None:
    """An answer lists the nearest rows, best first, each with its metadata, id and similarity."""
    query = small_index.vectors[10]
    with serve_index(small_index.folder) as url:
        answer = ask(url, embedding_input=(3 * query).tolist())

    nearest = small_index.nearest(query, 3)
    assert answer.status_code == 200
    assert [hit["id"] for hit in answer.json()] == nearest
    assert answer.json()[0] == {
        "url": "http://host3.example/10.jpg",
        "caption": "picture 10",
        "width": 110,
        "punsafe": 0.1,
        "pwatermark": 0.1,
        "id": 10,
        "similarity": pytest.approx(3, abs=1e-5),  # of the vector as it was sent, as theirs
    }


def test_more_ids_than_metadata(small_index: Any) -> None:
    """Metadata comes for num_images hits; further ones up to num_result_ids have only their id."""
    with serve_index(small_index.folder) as url:
        answer = ask(
            url, embedding_input=small_index.vectors[10].tolist(), num_images=2, num_result_ids=5
        ).json()

    assert [sorted(hit) == ["id", "similarity"] for hit in answer] == [False] * 2 + [True] * 3


def test_duplicates_and_unsafe_images(small_index: Any) -> None:
    """Copies, and what the metadata calls unsafe, are left out when the caller wants that."""
    with serve_index(small_index.folder) as url:
        copies = [
            len(
                {4, 5}
                & {
                    hit["id"]
                    for hit in ask(
                        url,
                        embedding_input=small_index.vectors[4].tolist(),
                        deduplicate=deduplicate,
                    ).json()
                }
            )
            for deduplicate in (True, False)
        ]
        first = [
            ask(
                url, embedding_input=small_index.vectors[49].tolist(), use_safety_model=safe
            ).json()[0]["id"]
            for safe in (True, False)
        ]

    assert copies == [1, 2]
    assert first == [small_index.nearest(small_index.vectors[49], 2)[1], 49]


def test_what_a_client_can_know(small_index: Any) -> None:
    """The list of indexes, their make, and the metadata of rows can be asked for."""
    with serve_index(small_index.folder) as url:
        assert httpx.get(f"{url}/indices-list").json() == ["small"]
        info = httpx.get(f"{url}/index-info").json()["small"]
        ids = {"ids": [599, 0], "indice_name": "small"}
        metadata = httpx.post(f"{url}/metadata", json=ids).json()

    assert info["model_id"] == "ViT-B/32"
    assert (info["dimension"], info["rows"]) == (16, 600)
    assert info["columns"] == ["url", "caption", "width", "punsafe", "pwatermark"]
    assert [(row["id"], row["metadata"]["width"]) for row in metadata] == [(599, 699), (0, 100)]


def test_our_client_reads_all_of_it(small_index: Any) -> None:
    """The service backend learns model, dimension, rows and fingerprint without a query."""
    with serve_index(small_index.folder) as url:
        index = Service(url).open()
        index.probe(16)
        index.close()

    local = IndexFolder(small_index.folder).open().info
    info = index.info
    assert (info.model_id, info.dimension, info.rows, info.fingerprint, info.columns) == (
        local.model_id,
        local.dimension,
        local.rows,
        local.fingerprint,
        local.columns,
    )


def test_aesthetics(small_index: Any, tmp_path: Path) -> None:
    """A score moves the query, if the server has the ratings' vectors; else it is ignored."""
    np.save(tmp_path / "rating9.npy", small_index.vectors[77])
    query = small_index.vectors[10]
    body = {"embedding_input": query.tolist(), "aesthetic_score": 9, "aesthetic_weight": 0.9}

    with serve_index(small_index.folder, aesthetic_embeddings=tmp_path) as url:
        moved = [hit["id"] for hit in ask(url, **body).json()]
    with serve_index(small_index.folder) as url:
        left = [hit["id"] for hit in ask(url, **body).json()]
        with pytest.raises(InvalidArgumentError, match="needs `aesthetic_embeddings` too"):
            Service(url, aesthetics=Aesthetics(9)).open()

    assert moved == small_index.nearest(query + 0.9 * small_index.vectors[77], 3)
    assert left == small_index.nearest(query, 3)


def test_texts_and_images(small_index: Any) -> None:
    """With a model, texts and base64 images are embedded; what is no image is reported."""

    class Words:
        def vector(self, cell: str | bytes) -> np.ndarray:
            return 2 * small_index.vectors[len(cell)]

    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    content = base64.b64encode(picture.getvalue()).decode()
    with serve_index(small_index.folder, encoders=Words()) as url:
        by_text = ask(url, text="12 letters..").json()
        by_image = ask(url, image=content, embedding_input=[1.0] * 16).json()

    assert by_text[0]["id"] == 12
    assert by_image[0]["id"] == len(picture.getvalue())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "one of `text`, `image` and `embedding_input` is needed"),
        ({"embedding_input": [1.0] * 7}, "the query has 7 dimensions, the index 16"),
        ({"embedding_input": "abc"}, "`embedding_input` must be a list of finite numbers"),
        ({"embedding_input": [0.0] * 16}, "`embedding_input` must be a list of finite numbers"),
        ({"embedding_input": [[1.0] * 16]}, "`embedding_input` must be a list of finite numbers"),
        ({"embedding_input": [1e999] * 16}, "`embedding_input` must be a list of finite numbers"),
        ({"embedding_input": [1.0] * 16, "num_images": 0}, "`num_images` must be a whole number"),
        ({"embedding_input": [1.0] * 16, "num_images": 10**9}, "from 1 to 10000"),
        ({"embedding_input": [1.0] * 16, "num_images": "3"}, "`num_images` must be"),
        ({"embedding_input": [1.0] * 16, "indice_name": "x"}, "there is no index 'x', but 'small'"),
        ({"embedding_input": [1.0] * 16, "indice_name": None}, "`indice_name` must be a string"),
        ({"embedding_input": [1.0] * 16, "modality": "text"}, "this index holds image vectors"),
        ({"embedding_input": [1.0] * 16, "aesthetic_score": 11}, "`aesthetic_score` must be"),
        ({"embedding_input": [1.0] * 16, "aesthetic_weight": -1}, "`aesthetic_weight` must be"),
        ({"text": "a cat"}, "this server has no CLIP model for texts and images"),
        ({"image": "not base64!"}, "`image` must be an image in base64"),
        ({"image_url": "http://169.254.169.254/"}, "image URLs are not fetched on a caller's"),
        (
            {"image_url": "file:///etc/passwd", "embedding_input": [1.0] * 16},
            "image URLs are not fetched on a caller's",
        ),
    ],
)
def test_requests_that_are_refused(small_index: Any, content: dict[str, Any], message: str) -> None:
    """A request that makes no sense is answered with 400 and the reason; nothing is fetched."""
    import json  # noqa: PLC0415

    with serve_index(small_index.folder) as url:
        body = json.dumps({**NEEDED, **content})  # httpx itself refuses infinities
        answer = httpx.post(f"{url}/knn-service", content=body)

    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message) or message in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("knn-service", b"{", "the body must be JSON"),
        ("knn-service", b"[]", "the body must be a JSON object"),
        ("knn-service", b"[" * 100_000, "the body must be JSON"),
        ("metadata", b'{"ids":' * 50_000, "the body must be JSON"),
        ("metadata", b'{"ids": [' + b"9" * 5000 + b"]}", "the body must be JSON"),
        ("metadata", b"\xff\xfe", "the body must be JSON"),
        ("metadata", b"[]", "`ids` must be a list of row numbers"),
        ("metadata", b'{"ids": [600], "indice_name": "small"}', "there is no row 600"),
        ("metadata", b'{"ids": [-1], "indice_name": "small"}', "there is no row -1"),
        ("metadata", b'{"ids": [true], "indice_name": "small"}', "there is no row True"),
        ("metadata", b'{"ids": [0]}', "there is no index 'None', but 'small'"),
    ],
)
def test_bodies_that_are_refused(small_index: Any, path: str, body: bytes, message: str) -> None:
    """A body of another form is answered with 400 and the reason."""
    with serve_index(small_index.folder) as url:
        answer = httpx.post(f"{url}/{path}", content=body)

    assert (answer.status_code, answer.json()) == (400, {"message": message})
