"""The example that captions images that one has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from image_toolkit.models.runtime.preparation import probe_images
from tests.tiny_models import make_model

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).parents[1] / "examples" / "caption_my_images.py"


def test_a_folder_of_images_gets_captions(tmp_path):
    """Of a folder of images it makes one that trainers read, with a caption for each."""
    (tmp_path / "photos").mkdir()
    first, *_ = images = probe_images(3)
    for number, image in enumerate(images):
        image.resize((96, 96)).save(tmp_path / "photos" / f"{number}.jpg")
    first.resize((80, 80)).save(tmp_path / "photos" / "copy.png")
    first.resize((40, 40)).save(tmp_path / "photos" / "small.jpg")
    (tmp_path / "photos" / "0.txt").write_text(" my own words\n")
    model = make_model("blip", tmp_path / "blip")
    argv = ["--dataset", tmp_path / "photos", "--model", model, "--base-path", tmp_path / "made"]
    more = ["--set", "caption_images.trigger_word=sks", "--set", "caption_images.min_new_tokens=3"]
    own = ["--resize", "64", "--min-size", "60", "--keep-captions"]
    command = [sys.executable, EXAMPLE, *argv, *own, *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "copy.png is near to 0.jpg" in done.stdout
    (metadata,) = (tmp_path / "made").rglob("output/train/metadata.jsonl")
    lines = [json.loads(line) for line in metadata.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 4
    mine, *others = [line["text"] for line in lines]
    assert mine == " my own words"  # but for the end of the line of its file
    assert all(text.startswith("sks, ") and len(text) > 8 for text in others)
    sizes = [Image.open(metadata.parent / line["file_name"]).size for line in lines]
    assert sizes == [(64, 64)] * 4
