"""The layouts, each with the reader that goes by its trainer's rules; and what it is told of it."""

import io
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import FondantError, InvalidDatasetError
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import load_module
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.base_models import BASE_MODELS
from image_toolkit.training.trained_models import TRAINED_MODELS
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
LAYOUTS = load_module(COMPONENT, "layouts").LAYOUTS
OF_FILES = [name for name in LAYOUTS if name not in ("webdataset", "parquet")]
BY_DATASETS = ("imagefolder", "webdataset", "parquet")
CAPTIONS = [
    "a cat",
    'a "quoted" dog: x, x # no',
    "two\nlines",
    " café 猫 \U0001f431 ",
    "yes",
    "1.0 \x85 \u2028 end",
]


def pairs(count: int = 12) -> pa.Table:
    """Return images with captions, and a field that is null in the first rows."""
    alt_texts = [None if number % 12 < 7 else f"alt {number}" for number in range(count)]
    return pa.table(
        {
            "image": [photo(number) for number in range(count)],
            "caption": [CAPTIONS[number % len(CAPTIONS)] for number in range(count)],
            "alt_text": pa.array(alt_texts, pa.string()),
        }
    )


def export(table: pa.Table, tmp_path: Path, **arguments: object) -> Result:
    """Run the component; `alt_text` is kept."""
    return run_component(
        COMPONENT,
        table,
        tmp_path,
        options={"max_reject_share": "1", "consumes": json.dumps({"alt_text": "alt_text"})},
        **{"output_path": str(tmp_path / "out"), **arguments},
    )


def written(name: str, path: Path, images: list[bytes], captioned: list[bytes] | None = None):
    """Return a layout with a pair for each image in `path`, the last one for validation."""
    folder = HashedFolder(path)
    settings = load_module(COMPONENT, "layout").ExportSettings(place=str(path))
    layout = LAYOUTS[name](name, folder, settings)
    make, texts = maker()
    look_of_file = load_module(COMPONENT, "picture_looks").look_of_file
    for number, image in enumerate(images):
        split = "validation" if number == len(images) - 1 else "train"
        meant = look_of_file(captioned[number]) if captioned else None
        caption = texts((f"photo {number}",))
        layout.add(make(f"{number}", split, image, ".jpg", caption, {}, 40, 30, meant))
    layout.close()
    front = yaml.safe_dump(layout.front_matter("default"))
    folder.write("README.md", f"---\n{front}---\n".encode())
    return layout


def maker() -> tuple[Callable, Callable]:
    """Return what makes pairs, and what makes their texts."""
    return tuple(
        getattr(load_module(COMPONENT, module), name)
        for module, name in (("training_pairs", "Pair"), ("pair_texts", "Texts"))
    )


def problem(layout, path: Path) -> str:
    """Return what the layout's own reader finds wrong."""
    with pytest.raises(InvalidDatasetError) as error:
        layout.check()
    return str(error.value).removeprefix(f"{path}: the export is not as it was written: ")


def test_the_spec_names_the_layouts_and_their_base_models():
    """A layout is a module, a row in the table, and a choice in the spec."""
    arguments = ComponentSpec.from_file(COMPONENT).arguments
    assert arguments["layout"].choices == tuple(LAYOUTS)
    trained = {model for models in TRAINED_MODELS.values() for model in models}
    assert set(arguments["base_model"].choices) == trained


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_difference_is_named(tmp_path, name):
    """What reads back with another caption, not at all, or unasked, is an error that says which."""
    layout = written(name, tmp_path, [photo(number) for number in range(4)])
    layout.check()
    captions = layout.captions.copy()
    layout.captions["train", "1"] = ("a cat",)
    assert problem(layout, tmp_path) == "train/1 reads back as 'photo 1', not 'a cat'."
    layout.captions = captions | {("train", "9"): ("photo 9",)}
    assert problem(layout, tmp_path) == "1 of 5 pairs do not read back, the first is train/9."
    del layout.captions["train", "9"], layout.captions["train", "1"]
    expected = "train/1 reads back, but was not written, or only once."
    assert problem(layout, tmp_path) == expected


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_picture_that_a_trainer_sees_otherwise_is_named(tmp_path, name):
    """Images are read back by decoding: one that comes out turned is not what was captioned."""
    turned = Image.Exif()
    turned[0x0112] = 3
    upright, stored = photo(1, quality=95), io.BytesIO()
    Image.open(io.BytesIO(upright)).save(stored, "JPEG", quality=95, exif=turned)
    images = [photo(0), stored.getvalue(), photo(2)], [photo(0), upright, photo(2)]
    made, meant = images if name in BY_DATASETS else images[::-1]
    layout = written(name, tmp_path, made, meant)
    expected = "train/1 reads back as another picture than was captioned."
    assert problem(layout, tmp_path) == expected


def test_a_picture_looks_the_same_opened_and_decoded():
    """However much of it a reader decoded, also where edges are sharp and sides odd."""
    looks = load_module(COMPONENT, "picture_looks")
    for seed in range(20):
        blocks = np.random.default_rng(seed).integers(0, 2, (13, 15), dtype=np.uint8) * 255
        buffer = io.BytesIO()
        wide = Image.fromarray(blocks).resize((492, 427), Image.Resampling.NEAREST)
        wide.convert("RGB").save(buffer, "JPEG")
        opened, decoded = Image.open(buffer), Image.open(io.BytesIO(buffer.getvalue()))
        decoded.load()
        assert not looks.look_of(opened).differs(looks.look_of(decoded))


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit of a text file."""

    def edit(root: Path) -> None:
        text = (root / name).read_text(encoding="utf-8")
        assert old in text
        (root / name).write_text(text.replace(old, new), encoding="utf-8")

    return edit


def removed(name: str) -> Callable[[Path], None]:
    """Return the removal of a file."""
    return lambda root: (root / name).unlink()


def renamed(name: str, new: str) -> Callable[[Path], None]:
    """Return the renaming of a file."""
    return lambda root: (root / name).rename(root / new)


def written_anew(name: str, text: str) -> Callable[[Path], None]:
    """Return that a file has another text."""
    return lambda root: (root / name).write_text(text, encoding="utf-8")


def narrower_by_table(root: Path) -> None:
    """Have SimpleTuner's table tell other sizes."""
    table = pq.read_table(root / "train.parquet")
    widths = pa.array([7] * len(table), pa.int32())
    pq.write_table(table.set_column(2, "width", widths), root / "train.parquet")


LOST, EXTRA = "1 of 4 pairs do not read back", "train/3 reads back, but was not written"
BROKEN = [
    ("imagefolder", replaced("train/metadata.jsonl", "photo 1", "photo"), "'photo', not 'photo 1'"),
    ("imagefolder", removed("validation/metadata.jsonl"), "cannot be read as imagefolder|not read"),
    ("kohya", removed("train/1_images/1.txt"), "cannot be read as kohya .FileNotFoundError"),
    ("kohya", written_anew("train/1_images/1.txt", "\nphoto 1"), "reads back as '', not 'photo 1'"),
    ("kohya", renamed("train/1_images/1.jpg", "train/1_images/1.avif"), LOST),
    ("kohya", replaced("dataset.toml", "validation_split = 1.0", ""), EXTRA),
    ("kohya", replaced("dataset.toml", "train/1_images", "train"), "3 of 4 pairs do not read back"),
    ("musubi-tuner", replaced("dataset.toml", "cache_directory", "cache"), "KeyError"),
    ("musubi-tuner", replaced("train.jsonl", "train/1.jpg", "1.jpg"), "FileNotFoundError"),
    ("musubi-tuner", replaced("train.jsonl", '"caption"', '"text"'), "KeyError: 'caption'"),
    ("simpletuner", replaced("config/multidatabackend.json", "text_embeds", "image"), "text embed"),
    ("simpletuner", narrower_by_table, r"is \(40, 30\), not \(7, 30\), in pixels"),
    ("simpletuner", renamed("train/1.jpg", "train/1.png"), LOST),
    ("ai-toolkit", written_anew("train/1.txt", "photo 1\n"), r"'photo 1\\n', not 'photo 1'"),
    ("ai-toolkit", renamed("train/1.jpg", "train/1.webp"), "1.webp is a WebP"),
    ("ai-toolkit", replaced("config.yaml", "caption_ext: txt", "caption_ext: md"), "FileNotFound"),
    ("onetrainer", written_anew("train/1.txt", "photo 1\nanother"), "'photo 1' and 'another', not"),
    ("onetrainer", renamed("train/1.jpg", "train/1-masklabel.jpg"), LOST),
    ("onetrainer", replaced("concepts.json", '"VALIDATION"', '"STANDARD"'), EXTRA),
    ("everydream2", renamed("train/1.yaml", "train/1.txt"), "FileNotFoundError"),
    ("everydream2", written_anew("train/1.yaml", "main_prompt: 1"), "reads back as 1, not"),
    ("everydream2", replaced("train.json", "validation.json", "none.json"), "FileNotFoundError"),
    (
        "webdataset",
        replaced("README.md", "validation-*.tar", "held-*.tar"),
        "infer the same data file format",
    ),
    ("parquet", renamed("validation-00000.parquet", "train-00001.parquet"), EXTRA),
]


@pytest.mark.parametrize(("name", "edit", "message"), BROKEN)
def test_a_broken_export_is_found(tmp_path, name, edit, message):
    """What its trainer would pass by, misread or stop at, the layout's reader does not accept."""
    layout = written(name, tmp_path, [photo(number) for number in range(4)])
    layout.check()
    edit(tmp_path)
    assert re.search(message, problem(layout, tmp_path))


def test_several_layouts_share_their_image_files(tmp_path, monkeypatch):
    """Each has a folder of its own and a README; an image is one file under several names."""
    monkeypatch.setenv(TRUSTED, str(tmp_path))
    table = pairs()
    named = [name for name in OF_FILES if name != "musubi-tuner"]  # which shares no base model
    result = export(table, tmp_path, layouts=named, validation_fraction=0.3, base_model="sd15")
    out = tmp_path / "out"
    places = [str(path.relative_to(out)) for path in out.rglob("*.jpg")]
    assert len(places) == 12 * len(named)
    assert len({(out / place).stat().st_ino for place in places}) == 12
    assert validate(result.manifest) == []
    mark = json.loads((out / "export.json").read_text())
    assert (mark["layouts"], sum(mark["pairs"].values())) == (named, 12)
    for name in named:
        assert f"[`{name}`]({name}/README.md)" in (out / "README.md").read_text()
        assert (out / name / "README.md").is_file()


def test_layouts_in_an_object_store(tmp_path):
    """There each has files of its own; a configuration that wants a full path has none."""
    target = f"memory://{tmp_path.name}/out"
    export(pairs(3), tmp_path, layouts=["kohya", "simpletuner"], output_path=target)
    fs = fsspec.filesystem("memory")
    names = {name.partition("/out/")[2] for name in fs.find(target)}
    assert {"kohya/train/1_images/000000000000.jpg", "simpletuner/train.parquet"} <= names
    assert b"cd path/to/this/folder" in fs.cat(f"{target}/kohya/README.md")
    told = fs.cat(f"{target}/simpletuner/README.md").decode()
    assert "They name `train` alone, for this folder was not written to a disk" in told


def test_images_are_of_a_kind_that_all_trainers_read(tmp_path):
    """ai-toolkit has trouble with WebP: it gets a JPEG, and so do those beside it; or a reject."""
    images = [photo(0), photo(1, "PNG"), photo(2, "WEBP")]
    table = pa.table({"image": images, "caption": ["x"] * 3, "alt_text": ["y"] * 3})
    export(table, tmp_path, layouts=["kohya", "ai-toolkit"])
    for place in ("kohya/train/1_images", "ai-toolkit/train"):
        files = sorted(
            path for path in (tmp_path / "out" / place).iterdir() if path.suffix != ".txt"
        )
        assert [path.suffix for path in files] == [".jpg", ".png", ".jpg"]
        assert [path.read_bytes() for path in files[:2]] == images[:2]
    result = export(
        table,
        tmp_path,
        layout="ai-toolkit",
        convert_images="never",
        output_path=str(tmp_path / "b"),
    )
    assert result.rejects["reason"].to_pylist() == ["needs_conversion"]
    assert "a WEBP of mode RGB" in result.rejects["message"][0].as_py()


def test_a_field_that_is_null_at_first_is_loaded_as_the_card_says(tmp_path):
    """With all columns, not streamed: of archives, `datasets` would guess it to be always null."""
    export(pairs(), tmp_path, layouts=["webdataset", "parquet"])
    archives = datasets.load_dataset(str(tmp_path / "out" / "webdataset"), split="train")
    told = [row["alt_text"] for row in archives["json"]]
    assert told == pairs()["alt_text"].to_pylist()
    tables = datasets.load_dataset(str(tmp_path / "out" / "parquet"), split="train")
    assert tables["alt_text"][:] == told
    assert tables["text"][:] == archives["txt"][:] == pairs()["caption"].to_pylist()
    assert tables.features["image"] == datasets.Image()
    assert tables[0]["image"].size == archives[0]["jpg"].size == (40, 30)


def test_kohya_validates_on_the_validation_split(tmp_path):
    """A second dataset is all for validation, as sd-scripts has it; the first is as before."""
    export(pairs(30), tmp_path, layout="kohya", validation_fraction=0.3, base_model="sdxl")
    config = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())
    first, second = config["datasets"]
    assert (first["resolution"], "validation_split" in first) == (1024, False)
    assert second["validation_split"] == 1.0
    folders = [dataset["subsets"][0]["image_dir"] for dataset in (first, second)]
    assert folders == ["train/1_images", "validation/1_images"]


def test_metadata_has_the_sizes_of_the_files(tmp_path):
    """As they lie there, so that SimpleTuner's Parquet backend sorts them into buckets."""
    table = pairs(2).append_column("wide", pa.array([1, 2]))
    options = {"consumes": json.dumps({"width": "wide"})}
    run_component(COMPONENT, table, tmp_path, options=options, output_path=str(tmp_path / "out"))
    lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(line["width"], line["height"]) for line in told] == [(40, 30)] * 2


def test_a_field_may_be_empty_in_one_split(tmp_path):
    """`datasets` takes the types of JSON from the values, so a table tells them instead."""
    table = pairs(12)
    alt_texts = pa.array([None] * 11 + ["x"], pa.string())
    export(table.set_column(2, "alt_text", alt_texts), tmp_path, validation_fraction=0.3)
    out = tmp_path / "out"
    assert {path.name for path in out.rglob("metadata.*")} == {"metadata.parquet"}
    splits = datasets.load_dataset("imagefolder", data_dir=str(out))
    told = [text for split in splits.values() for text in split["alt_text"] if text is not None]
    assert told == ["x"]


EACH = [(name, model) for name, models in TRAINED_MODELS.items() for model in models]


@pytest.mark.parametrize(("name", "model"), EACH)
def test_a_readme_begins_a_training_as_it_stands(tmp_path, name, model):
    """Its command enters the folder, names files that are there, and the model to fine-tune."""
    folder = HashedFolder(tmp_path)
    settings = load_module(COMPONENT, "layout").ExportSettings(model, place=str(tmp_path))
    make, texts = maker()
    layout = LAYOUTS[name](name, folder, settings)
    for split in ("train", "validation"):
        layout.add(make("0", split, photo(0), ".jpg", texts(("x",)), {}, 40, 30))
    layout.close()
    text = layout.usage()
    if name in ("webdataset", "parquet"):
        assert f"load_dataset('{tmp_path}'" in text
        return
    enter, *command = re.findall(r"^ {4}(.+)$", text, re.MULTILINE)
    assert shlex.split(enter) == ["cd", str(tmp_path)]
    words = shlex.split("".join(line.removesuffix("\\") + " " for line in command))
    own = [word for word in words if word.endswith((".toml", ".yaml", ".json")) and "$" not in word]
    assert all((tmp_path / word).is_file() for word in own)
    kinds = (".json", ".yaml", ".toml")
    configured = "".join(p.read_text() for p in tmp_path.rglob("*") if p.suffix in kinds)
    known = BASE_MODELS[model]
    by_preset = {"onetrainer": "LoRA.json", "kohya": "flux1-dev", "musubi-tuner": "flux2-dev"}
    assert known.hub_id in text + configured or by_preset[name] in text
    assert str(known.resolution) in text + configured


def test_what_else_a_trainer_would_take_is_told(tmp_path):
    """Validation images are no training images, and captions in a table are not found by all."""
    layouts = ["imagefolder", "ai-toolkit", "everydream2"]
    export(pairs(30), tmp_path, layouts=layouts, validation_fraction=0.3)
    texts = {name: (tmp_path / "out" / name / "README.md").read_text() for name in layouts}
    assert "--train_data_dir train " in texts["imagefolder"]
    for text in texts.values():
        assert "would train on the" in text or "would train on `validation`" in text
    for trainer in ("OneTrainer", "ai-toolkit", "EveryDream2", "musubi-tuner"):
        assert trainer in texts["imagefolder"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"layout": "everydream2", "base_model": "sdxl"},
            (
                "base_model: the trainer of layout 'everydream2' trains no 'sdxl'; choose 'sd15', "
                "or leave the layout out."
            ),
        ),
        ({"layouts": []}, "argument 'layouts' must name some of "),
        ({"layouts": ["kohya", "kohya"]}, "argument 'layouts' must name some of "),
        ({"layouts": ["koya"]}, "argument 'layouts' must be made of "),
    ],
)
def test_layouts_that_cannot_be_are_refused(tmp_path, arguments, message):
    """Before anything is written."""
    with pytest.raises(FondantError, match=f"^export_dataset: {re.escape(message)}"):
        export(pairs(1), tmp_path, **arguments)
    assert not (tmp_path / "out").exists()


def test_the_models_of_every_trainer_are_known():
    """A layout that is added says there which models its trainer trains."""
    assert list(TRAINED_MODELS) == list(LAYOUTS)
