"""Mixing embeddings, run as runners run it."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fondant_spec.errors import InputDataError
from fondant_spec.testing import (
    component_class,
    read_rejects,
    read_table,
    run_component,
    write_dataset,
)
from fondant_spec.worker.run_step import run

COMPONENT = Path(__file__).parents[1]
MADE_BY = {"model_id": "openai/clip-vit-base-patch32", "dimension": 3}


def seeds(*rows):
    """Return seeds of a vector, a mix and a weight each."""
    vectors, mixes, weights = zip(*rows, strict=True)
    return pa.table(
        {
            "embedding": pa.array(vectors, pa.list_(pa.float32())),
            "mix": pa.array(mixes, pa.string()),
            "weight": pa.array(weights, pa.float32()),
        }
    )


def mix(table, tmp_path, **arguments):
    """Run the component over seeds of one model."""
    return run_component(COMPONENT, table, tmp_path, metadata={"embedding": MADE_BY}, **arguments)


def unit(*numbers):
    """Return numbers as a vector of length 1."""
    return pytest.approx(np.array(numbers) / np.linalg.norm(numbers), abs=1e-6)


def test_a_mix_is_the_weighted_sum(tmp_path):
    """One row comes for each mix, with all seeds of it; the others are told, and no failures."""
    table = seeds(
        ([0, 0, 1], "a", -0.5),
        ([2, 0, 0], "a", None),
        ([1, 1, 1], None, 7),
        ([0, 5, 0], "b", 1),
        ([0, 3, 0], "a", 0.5),
    )
    result = mix(table, tmp_path, rows_per_partition=2)
    rows = result.table.to_pylist()
    assert [row["seed_id"][-1] for row in rows] == ["1", "2", "3"]
    assert [row["mix"] for row in rows] == ["a", None, "b"]
    assert rows[0]["embedding"] == unit(1, 0.5, -0.5)
    assert rows[1]["embedding"] == unit(1, 1, 1)
    assert [one[-1] for one in rows[0]["mixed_ids"]] == ["0", "1", "4"]
    assert rows[0]["mixed_weights"] == [-0.5, 1, 0.5]
    rejects = result.rejects.to_pylist()
    assert [(row["id"], row["reason"]) for row in rejects] == [
        ("000000000000-00000", "mixed"),
        ("000000000004-00000", "mixed"),
    ]
    assert rejects[0]["message"] == "part of mix 'a', for which 000000000001-00000 stands"
    assert result.manifest.failed == 0
    metadata = result.manifest.fields["embedding"].metadata
    assert metadata["model_id"] == MADE_BY["model_id"]


def test_a_seed_of_every_mix(tmp_path):
    """What is to be led away from is so for each mix, and each seed without one."""
    table = seeds(([0, 0, 1], "*", -1), ([1, 0, 0], "a", 1), ([0, 1, 0], None, None))
    result = mix(table, tmp_path)
    rows = result.table.to_pylist()
    assert [row["embedding"] for row in rows] == [unit(1, 0, -1), unit(0, 1, -1)]
    assert [row["mixed_weights"] for row in rows] == [[1, -1], [1, -1]]
    assert result.rejects["message"].to_pylist() == ["part of every mix"]


def test_seeds_without_mixes_stay_as_they_are(tmp_path):
    """Without the fields there is nothing to mix; a seed without a vector is a reject."""
    vectors = pa.array([[3, 4, 0], None], pa.list_(pa.float32()))
    result = mix(pa.table({"embedding": vectors}), tmp_path)
    (row,) = result.table.to_pylist()
    assert row["embedding"] == unit(3, 4, 0)
    assert result.rejects["reason"].to_pylist() == ["no_embedding"]


def test_images_and_prompts_of_two_steps(tmp_path):
    """Seeds of one mix may come from several datasets, one of which has no mixes at all."""
    base = tmp_path / "base"
    prompts = seeds(([0, 1, 0], "a", 1), ([0, 0, 1], "*", -0.5))
    images = seeds(([1, 0, 0], "a", 1)), seeds(([1, 1, 1], None, 1)).select(["embedding"])
    words = []
    for number, table in enumerate((*images, prompts)):
        folder = base / str(number)
        made = write_dataset(table, folder, metadata={"embedding": MADE_BY})
        words += ["--input_manifest_path", made.location]
    manifest = run(component_class(COMPONENT), ["--base_path", str(base), *words])
    rows = read_table(manifest).to_pylist()
    assert [row["embedding"] for row in rows] == [unit(1, 1, -0.5), unit(1, 1, 1 - 0.75**0.5)]
    assert [one[:2] for one in rows[0]["mixed_ids"]] == ["0-", "2-", "2-"]
    assert len(read_rejects(manifest)) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [([1, 0, 0], "a", 1), ([2, 0, 0], "a", -1)],
            "the vectors of mix 'a' sum to nothing by their weights (1, -1); change one of them.",
        ),
        (
            [([1, 0, 0], "cats", 1), ([2, 0, 0], "cat", -1)],
            "mix 'cat' has no seed of a weight above 0; did you mean 'cats'? '*' is in every mix.",
        ),
        ([([1, 0, 0], "*", -1)], "mix '*' is part of every mix, but there is no other seed."),
        (
            [([1, 0, 0], "a", float("nan"))],
            "mix 'a' has a weight that is no number; give a number to each seed.",
        ),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(tmp_path, rows, message):
    """One sentence says which mix it is, and what to do."""
    with pytest.raises(InputDataError, match=re.escape(f"mix_embeddings: {message}")):
        mix(seeds(*rows), tmp_path)


def test_vectors_of_two_models_are_refused(tmp_path):
    """Their numbers mean different things."""
    words = []
    for number in range(2):
        made_by = {**MADE_BY, "model_id": f"model-{number}"}
        table = seeds(([1, 0, 0], "a", 1))
        made = write_dataset(table, tmp_path / str(number), metadata={"embedding": made_by})
        words += ["--input_manifest_path", made.location]
    with pytest.raises(InputDataError, match="model_id is model-0 of some seeds and model-1"):
        run(component_class(COMPONENT), ["--base_path", str(tmp_path), *words])
