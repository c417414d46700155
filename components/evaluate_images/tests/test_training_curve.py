"""The losses of the fine-tuning step before, on the page and in the figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InputDataError
from fondant_spec.spec.arguments import resolve, to_argv
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.testing import write_dataset
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run
from tests.made_evaluation import LABELS, evaluated_rows

FOLDER = Path(__file__).parents[1]


def evaluated_after(told: str, tmp_path: Path) -> Manifest:
    """Run the component on what a step left that wrote a training.json."""
    trained = tmp_path / "trained"
    trained.mkdir()
    for name, content in {"training.json": told, "export.json": "{}"}.items():
        (trained / name).write_text(content)
    dataset = write_dataset(evaluated_rows(8, 8), tmp_path / "base")
    replace(dataset, artifacts=(str(trained / "export.json"),)).write()
    spec = ComponentSpec.from_file(FOLDER)
    arguments = {"clip_model_id": str(CLIP_FOLDER), "labels": LABELS, "resamples": 100}
    values = resolve(spec.arguments, arguments, spec.component_id)
    argv = ["--base_path", str(tmp_path / "base"), "--workers", "1"]
    argv += ["--input_manifest_path", dataset.location]
    return run(component_class(spec.source), [*argv, *to_argv(spec.arguments, values)])


def test_losses_are_drawn(tmp_path):
    """Many steps are brought together; what is no number is left out."""
    told = {
        "base_model": "tiny <sd>",
        "method": "lora",
        "train_loss": [{"step": n, "loss": 1 / n, "learning_rate": 1e-4} for n in range(1, 1001)],
        "validation_loss": [
            {"step": 500, "epoch": 1, "loss": 0.4},
            {"step": 1000, "epoch": 2, "loss": 0.5},
            {"step": 1000, "epoch": 2, "loss": float("nan")},
        ],
        "best_step": 500,
        "overfit_epoch": 2,
        "steps": 1000,
        "epochs": 2,
    }
    made = evaluated_after(json.dumps(told), tmp_path)
    page, figures = (Path(path) for path in made.artifacts[1:])
    training = json.loads(figures.read_text())["training"]
    assert len(training["train"]) == 250
    assert training["train"][0] == pytest.approx([4, (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4], rel=1e-5)
    assert training["validation"] == [[500, 0.4], [1000, 0.5]]
    html = page.read_text()
    assert 'class="validation"' in html
    assert "tiny &lt;sd&gt;" in html
    assert "From epoch 2 on" in html


def test_a_training_that_cannot_be_read(tmp_path):
    """It is named, with what to do."""
    with pytest.raises(InputDataError, match=r"training\.json"):
        evaluated_after("{", tmp_path)
