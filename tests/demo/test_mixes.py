"""What mixes of seeds retrieve from the demo's index, whose ground truth is known."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.evaluate import read_truth
from demo.photos import SUBJECTS
from demo.run import ARGUMENTS
from demo.tiny_models import CLIP_FOLDER
from demo.training_data import PROMPT
from fondant_spec.testing import Result, run_component

COMPONENTS = Path(__file__).parents[2] / "components"
IMAGES, AWAY = 10, -0.5
PAIRS = list(zip(SUBJECTS, SUBJECTS[5:] + SUBJECTS[:5], strict=True))

pytestmark = pytest.mark.long


def embedded(component: str, tmp_path: Path, **columns: pa.Array) -> Result:
    """Embed images or texts with the demo's CLIP."""
    folder = tmp_path / component
    model = str(CLIP_FOLDER)
    return run_component(COMPONENTS / component, pa.table(columns), folder, model_id=model)


@pytest.fixture(scope="module")
def vectors(
    seeds: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, object]]:
    """By subject, the vector of a seed image and that of its prompt; and what made them."""
    folder = tmp_path_factory.mktemp("vectors")
    (file,) = (seeds / "data").glob("*.parquet")
    data = pq.read_table(file)["image"].combine_chunks().field("bytes")
    images = embedded("image_embedding", folder, image=data[::2])
    prompts = embedded("text_embedding", folder, text=[PROMPT.format(one) for one in SUBJECTS])
    by_subject = [
        dict(zip(SUBJECTS, one.table["embedding"].to_pylist(), strict=True))
        for one in (images, prompts)
    ]
    return *by_subject, dict(images.manifest.fields["embedding"].metadata)


def shares(vectors, index: Path, tmp_path: Path, away: float) -> tuple[float, float]:
    """Return which shares of the hits show the first and the second subject of their mix.

    A mix has the image of each, and the prompt of the second by the weight `away`, unless it is 0.
    """
    images, prompts, made_by = vectors
    rows = [
        {"embedding": vector, "mix": f"{one} {other}", "weight": weight}
        for one, other in PAIRS
        for vector, weight in ((images[one], 1), (images[other], 1), (prompts[other], away))
        if weight
    ]
    types = {"embedding": pa.list_(pa.float32()), "mix": pa.string(), "weight": pa.float32()}
    table = pa.Table.from_pylist(rows, pa.schema(list(types.items())))
    metadata = {"embedding": made_by}
    mixes = run_component(
        COMPONENTS / "mix_embeddings", table, tmp_path / "mixes", metadata=metadata
    )
    hits = run_component(
        COMPONENTS / "laion_retrieval",
        mixes.table.select(["id", "embedding"]),
        tmp_path / "hits",
        metadata={"embedding": mixes.manifest.fields["embedding"].metadata},
        index=str(index),
        num_images=IMAGES,
        deduplicate=False,
        duplicate_threshold=float(ARGUMENTS["laion_retrieval.duplicate_threshold"]),
    ).table.to_pylist()
    assert len(hits) == len(PAIRS) * IMAGES
    names = {row["id"]: row["mix"].split() for row in mixes.table.to_pylist()}
    truth = read_truth(index.parent / "truth.parquet")
    shown = [(truth[hit["image_url"]], *names[hit["seed_id"]]) for hit in hits]
    first = sum(subject == one for subject, one, _ in shown) / len(shown)
    return first, sum(subject == other for subject, _, other in shown) / len(shown)


def test_a_mix_finds_both_and_a_negative_prompt_leads_away(
    vectors, index: Path, tmp_path: Path
) -> None:
    """Two subjects share the hits; a negative prompt leaves a fifth of one, at most."""
    first, second = shares(vectors, index, tmp_path / "both", 0)
    assert first + second >= 0.95
    assert min(first, second) >= 0.3
    left, unwanted = shares(vectors, index, tmp_path / "away", AWAY)
    assert unwanted <= 0.2 * second
    assert left >= 0.85
