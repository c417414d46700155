"""Reaching the requested number of images on the demo's web with a third of the pages dead."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from demo.host import dead_links, serving
from demo.run import ARGUMENTS
from demo.tiny_models import CLIP_FOLDER
from fondant_spec.errors import InvalidConfigError
from fondant_spec.testing import Result, run_component

COMPONENTS = Path(__file__).parents[2] / "components"
SEEDS, IMAGES, DEAD = 16, 6, 0.3

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def seed_vectors(seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The demo's seeds, one of each subject, embedded by its CLIP."""
    (file,) = (seeds / "data").glob("*.parquet")
    images = pq.read_table(file)["image"].combine_chunks().field("bytes")
    table = pa.table({"image": images[: 2 * SEEDS : 2]})
    folder = tmp_path_factory.mktemp("vectors")
    return run_component(COMPONENTS / "image_embedding", table, folder, model_id=str(CLIP_FOLDER))


def downloaded(seed_vectors: Result, index: Path, tmp_path: Path, spares: float) -> Result:
    """Return what comes of the seeds' images, from a host most of whose pages live."""
    vectors = seed_vectors.table.select(["id", "embedding"])
    made_by = {"embedding": seed_vectors.manifest.fields["embedding"].metadata}
    hits = run_component(
        COMPONENTS / "laion_retrieval",
        vectors,
        tmp_path / "hits",
        metadata=made_by,
        index=str(index),
        num_images=IMAGES,
        spares=spares,
        duplicate_threshold=float(ARGUMENTS["laion_retrieval.duplicate_threshold"]),
    ).table
    with serving(index.parent, 0, DEAD) as base_url:
        urls = pc.replace_substring_regex(hits["image_url"], r"^http://[^/]+", base_url)
        column = hits.column_names.index("image_url")
        return run_component(
            COMPONENTS / "download_images",
            hits.set_column(column, "image_url", urls),
            tmp_path / "images",
            options={"max_reject_share": "0.5"},
            allow_private_hosts=True,
            allowed_ports=[],
            requests_per_second_per_host=0.0,
            failures_per_host=1000,
            min_image_size=0,
            rows_per_partition=10_000,
        )


def images_of_each(result: Result) -> Counter[str]:
    """Return how many images each seed has, by the ids of the hits, which continue the seed's."""
    return Counter(row_id.rpartition("-")[0] for row_id in result.table["id"].to_pylist())


def test_the_asked_number_of_images_arrives(
    seed_vectors: Result, index: Path, tmp_path: Path
) -> None:
    """Spare images stand in for the dead ones, seed by seed; without them there are too few."""
    bare = downloaded(seed_vectors, index, tmp_path / "bare", spares=0)
    assert sum(images_of_each(bare).values()) < 0.9 * SEEDS * IMAGES

    result = downloaded(seed_vectors, index, tmp_path / "spares", spares=2)
    assert set(images_of_each(result).values()) == {IMAGES}
    assert len(images_of_each(result)) == SEEDS
    assert result.manifest.rejects["http_404"] > 0.1 * SEEDS * IMAGES
    assert result.manifest.failed < result.manifest.rows_in - len(result.table)
    assert result.manifest.rejects["not_needed"] > 0


def test_a_share_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no share from 0 to 1 is told in a sentence."""
    for text in ("30%", "1.5", "nan"):
        monkeypatch.setenv("DEMO_DEAD_LINKS", text)
        with pytest.raises(InvalidConfigError, match="give a share from 0 to 1"):
            dead_links()
