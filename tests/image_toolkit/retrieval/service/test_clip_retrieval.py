"""The real clip-retrieval: its service answers our client, and our service answers its client.

Set SKIP_PEERS=1 to skip this where clip-retrieval cannot be installed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.clip_retrieval_peer import ask, back, make_environment, make_tiny_clip
from fondant_spec.testing import run_component
from image_toolkit.retrieval.build.build_index import BuildOptions, build_index
from image_toolkit.retrieval.build.vector_sources import open_source
from tests.image_toolkit.retrieval.service.serving import serve_index

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(os.environ.get("SKIP_PEERS")), reason="SKIP_PEERS is set"),
]

ROWS, DIMENSION, SEEDS = 400, 32, 25
COMPONENT = Path(__file__).parents[4] / "components" / "laion_retrieval"


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Unit vectors in groups of near-equal ones, so that there are duplicates to drop."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((ROWS // 4, DIMENSION))
    spread = random.choice([0.05, 0.5], size=(ROWS, 1)) * random.standard_normal((ROWS, DIMENSION))
    found = np.repeat(centres, 4, axis=0) + spread
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> Path:
    """An index built by `index build`."""
    folder = tmp_path_factory.mktemp("peer")
    table = pa.table(
        {
            "URL": [f"http://host.example/{i}.jpg" for i in range(ROWS)],
            "TEXT": [f"picture {i}" for i in range(ROWS)],
            "width": list(range(ROWS)),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
        }
    )
    pq.write_table(table, folder / "urls.parquet")
    build_index(open_source(folder / "urls.parquet"), folder / "index", BuildOptions(name="tiny"))
    return folder / "index"


@pytest.fixture(scope="module")
def service(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """clip-retrieval's own service on that index, with a tiny CLIP."""
    make_environment()
    folder = tmp_path_factory.mktemp("service")
    clip = make_tiny_clip(folder / "clip", DIMENSION)
    columns = ("url", "caption", "width")
    listing = index / "indices_paths.json"
    with back(listing, clip, columns, folder / "back.log") as url:
        yield url


@pytest.mark.parametrize("deduplicate", [True, False])
def test_its_service_answers_our_step(
    index: Path, service: str, vectors: np.ndarray, tmp_path: Path, deduplicate: Any
) -> None:
    """The step gives the same rows from clip-retrieval's service as from the folder itself."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors[:SEEDS].ravel()), DIMENSION)
    common: dict[str, Any] = {
        "num_images": 12,
        "deduplicate": deduplicate,
        "options": {"produces": '{"width": "int64"}'},
        "metadata": {"embedding": {"dimension": DIMENSION}},
    }
    table = pa.table({"embedding": column})

    local = run_component(COMPONENT, table, tmp_path / "a", index=str(index), **common)
    remote = run_component(
        COMPONENT, table, tmp_path / "b", url=service, queries_per_second=0, **common
    )

    same = ["id", "seed_id", "image_url", "rank", "index_id", "alt_text", "seed_ids", "width"]
    assert len(local.table) > SEEDS
    assert remote.table.select(same).equals(local.table.select(same))
    assert np.allclose(remote.table["similarity"], local.table["similarity"], atol=1e-5)
    assert remote.rejects.equals(local.rejects)


def test_our_service_answers_its_client(index: Path, service: str, vectors: np.ndarray) -> None:
    """clip-retrieval's client gets from our server what it gets from its own."""
    queries = vectors[:SEEDS].tolist()
    settings = {
        "indice_name": "tiny",
        "num_images": 12,
        "use_safety_model": False,
        "use_violence_detector": False,
    }
    with serve_index(index, "tiny") as url:
        clients = [
            {**settings, "url": f"{address}/knn-service", "deduplicate": deduplicate}
            for deduplicate in (True, False)
            for address in (service, url)
        ]
        answers = [reply["answers"] for reply in ask(clients, queries)]

    for theirs, ours in (answers[:2], answers[2:]):
        for own, their in zip(ours, theirs, strict=True):
            assert [hit["id"] for hit in own] == [hit["id"] for hit in their]
            assert [hit["url"] for hit in own] == [hit["url"] for hit in their]
            assert np.allclose(
                [hit["similarity"] for hit in own], [hit["similarity"] for hit in their], atol=1e-5
            )
