"""The example that captions images that one has."""

import json
import signal
from collections.abc import Iterator

import pytest
from PIL import Image

from examples.caption_my_images import main
from image_toolkit.models.runtime.preparation import probe_images
from tests.tiny_models import make_model

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_folder_of_images_becomes_one_to_train_from(tmp_path, capfd, monkeypatch):
    """One command captions and exports; what is corrected after that is taken over by the next."""
    photos, look = tmp_path / "photos", tmp_path / "out" / "look"
    photos.mkdir()
    first, *_ = images = probe_images(3)
    for number, image in enumerate(images):
        image.resize((96, 96)).save(photos / f"{number}.jpg")
    first.resize((80, 80)).save(photos / "copy.png")
    first.resize((40, 40)).save(photos / "small.jpg")
    (photos / "0.txt").write_text(" my own words\n")
    monkeypatch.chdir(tmp_path)
    options = ["--base-path", "made", "--output", "out"]
    options += ["--trainer", "kohya", "--base-model", "sdxl", "--resize", "64", "--min-size", "60"]
    options += ["--model", str(make_model("blip", tmp_path / "blip")), "--keep-captions"]
    for setting in ("trigger_word=sks", "min_new_tokens=3", "precision=fp32"):
        options += ["--set", f"caption_images.{setting}"]

    assert main([str(photos), *options]) == 0
    assert "copy.png is near to 0.jpg" in capfd.readouterr().out
    train = tmp_path / "out" / "training" / "kohya" / "train" / "1_images"
    mine, *others = (file.read_text() for file in sorted(train.glob("*.txt")))
    assert mine == "my own words"  # as a line of a text, which is what kohya reads
    assert len(others) == 3
    assert all(text.startswith("sks, ") and len(text) > 8 for text in others)
    assert {Image.open(file).size for file in train.glob("*.jpg")} == {(64, 64)}
    assert "1024" in (train.parents[1] / "dataset.toml").read_text()
    assert (look / "index.html").is_file()

    below = [str(tmp_path), *options, "--dry-run"]
    below.remove("--keep-captions")
    assert main(below) == 0
    told = capfd.readouterr().out
    assert f"{tmp_path}: captions lie beside an image, such as 0.txt;" in told  # not the export's

    trained = train.parents[1] / "lora.safetensors"
    trained.touch()
    assert main([str(photos), *options]) == 1
    told = capfd.readouterr()
    assert "kohya/lora.safetensors was added. Nothing was overwritten." in told.err
    assert "load_from_hub" not in told.out
    trained.unlink()

    (look / "texts" / "1.jpg.txt").write_text("as I see it\n")
    assert main([str(photos), *options, "--until", "apply_edits"]) == 0
    told = capfd.readouterr().out
    assert "taken over: 1 corrected captions, 1.jpg.txt" in told
    assert "caption_images already done" in told
    (edits,) = (tmp_path / "made" / "edits").iterdir()
    assert json.loads(edits.read_text())["value"] == "as I see it"


def test_the_plan_takes_nothing_over(tmp_path, capsys):
    """A dry run changes nothing, and names the trainer's layout and model."""
    words = ["--dry-run", "--trainer", "kohya", "ai-toolkit", "--base-model", "flux"]
    assert main([str(tmp_path), *words, "--base-path", str(tmp_path / "made")]) == 0
    told = capsys.readouterr().out
    assert "layouts = ['kohya', 'ai-toolkit']" in told
    assert "base_model = 'flux'" in told
    assert not (tmp_path / "made").exists()


def test_a_model_that_a_trainer_does_not_train(tmp_path, capsys):
    """It is told before any step runs, in a plan as well."""
    words = ["--dry-run", "--trainer", "kohya", "everydream2", "--base-model", "sdxl"]
    assert main([str(tmp_path), *words, "--base-path", str(tmp_path / "made")]) == 1
    assert capsys.readouterr().err == (
        "error: --base-model: the trainer of layout 'everydream2' trains no 'sdxl'; choose 'sd15', "
        "or leave the layout out.\n"
    )


def test_captions_beside_images_are_not_passed_over_in_silence(tmp_path, capsys):
    """Who has some is told how to keep them; a text of another name is none."""
    for name in ("a.jpg", "a.txt", "notes.md", "notes.txt", "sub/b.png", "sub/b.CAPTION"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    words = [str(tmp_path), "--dry-run", "--base-path", f"{tmp_path}/made"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(
        f"{tmp_path}: captions lie beside 2 images, such as a.txt; --keep-captions keeps them, "
    )
    assert main([*words, "--keep-captions"]) == 0
    assert "lie beside" not in capsys.readouterr().out


@pytest.mark.parametrize("taken", ["out", "out/look", "out/training"])
def test_an_output_that_cannot_be_written(tmp_path, capsys, taken):
    """It is told before any step runs."""
    file = tmp_path / taken
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    words = ["--output", str(tmp_path / "out"), "--base-path", str(tmp_path / "made")]
    assert main([str(tmp_path), *words]) == 1
    told = capsys.readouterr()
    assert f"--output {tmp_path}/out: {file} is no folder; name a folder that you" in told.err
    assert "load_from_hub" not in told.out


@pytest.mark.parametrize("option", ["--resize", "--min-size"])
def test_a_size_of_nothing_is_wrong_usage(tmp_path, capsys, option):
    """It is refused by its option, and not taken for none."""
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path), option, "0"])
    assert caught.value.code == 2
    assert f"{option}: must be a whole number of at least 1" in capsys.readouterr().err
