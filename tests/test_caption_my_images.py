"""The example that captions images that one has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from image_toolkit.models.runtime.preparation import probe_images
from tests.tiny_models import make_model

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).parents[1] / "examples" / "caption_my_images.py"


def test_a_folder_of_images_gets_captions(tmp_path):
    """Of a folder of images it makes one that trainers read, with a caption for each."""
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(probe_images(3)):
        image.save(tmp_path / "photos" / f"{number}.jpg")
    model = make_model("blip", tmp_path / "blip")
    argv = ["--dataset", tmp_path / "photos", "--model", model, "--base-path", tmp_path / "made"]
    more = ["--set", "caption_images.trigger_word=sks", "--set", "caption_images.min_new_tokens=3"]
    subprocess.run([sys.executable, EXAMPLE, *argv, *more], check=True)
    (metadata,) = (tmp_path / "made").rglob("output/train/metadata.jsonl")
    lines = [json.loads(line) for line in metadata.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 3
    assert all(line["text"].startswith("sks, ") and len(line["text"]) > 8 for line in lines)
    assert all((metadata.parent / line["file_name"]).is_file() for line in lines)
