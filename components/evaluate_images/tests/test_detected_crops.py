"""Crops by a detector: a tiny YOLOS with weights by lot, which finds much, and nothing in it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.errors import InputDataError
from fondant_spec.testing import run_component
from tests.made_evaluation import LABELS, evaluated_rows

FOLDER = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a detector of two classes."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models") / "yolos"
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=3,
        id2label={0: "cat", 1: "boat"},
        label2id={"cat": 0, "boat": 1},
        initializer_range=1.0,
    )
    model = YolosForObjectDetection(config)
    last = model.bbox_predictor.layers[-1]  # boxes of about half a side, about the middle
    torch.nn.init.zeros_(last.bias)
    last.weight.data.mul_(0.005)
    model.save_pretrained(folder)
    YolosImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


def run(tmp_path: Path, **arguments: object) -> dict[str, object]:
    """Return the report of a run."""
    given = {"clip_model_id": str(CLIP_FOLDER), "labels": LABELS, "resamples": 100}
    made = run_component(FOLDER, evaluated_rows(8, 12), tmp_path, **given, **arguments)
    return json.loads(Path(made.manifest.artifacts[2]).read_text())


def test_what_is_found_is_what_is_compared(tmp_path, detector):
    """Classes are the detector's, and crops an image are told for each set."""
    told = run(tmp_path, detector=detector, detector_threshold=0.0)
    clusters = told["figures"]["clusters"]
    assert told["settings"]["crops"] == "yolos"
    assert {one["label"] for one in clusters["classes"]} <= {"cat", "boat"}
    for name, crops in clusters["crops"].items():
        assert crops > 12, name
        assert sum(clusters["crops_per_image"][name].values()) == pytest.approx(crops / 12)


def test_a_detector_that_finds_nothing(tmp_path, detector):
    """Says so, and what to do."""
    with pytest.raises(InputDataError, match="found nothing in the images of 'image'; lower"):
        run(tmp_path, detector=detector, detector_threshold=1.0)


def test_a_model_that_is_no_detector(tmp_path):
    """It has no boxes."""
    with pytest.raises(InputDataError):
        run(tmp_path, detector=str(CLIP_FOLDER))
