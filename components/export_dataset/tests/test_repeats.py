"""Repeats: each trainer sees an image as often as its row says, in the trainer's own terms."""

import io
import json
import tomllib
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import InvalidDatasetError
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import load_module
from image_toolkit.publishing.hashed_folder import HashedFolder
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
BALANCE = COMPONENT.parent / "balance_rows"
LAYOUTS = load_module(COMPONENT, "layouts").LAYOUTS
SD15 = [name for name in LAYOUTS if name != "musubi-tuner"]
BY_DATASETS = ("imagefolder", "webdataset", "parquet")
REPEATS = [1, None, 3, 3, 5, 1, 4, 2]
SPLITS = [None] * 6 + ["validation", None]
PROMPTS = [None] * 7 + ["a photo of a dog"]
TRAINED = {0: 1, 1: 1, 2: 3, 3: 3, 4: 5, 5: 1}
"""How often each image to train on is to be seen; 6 is for validation, 7 of the class."""


def rows(repeats: list[int | None] = REPEATS, **columns: object) -> pa.Table:
    """Return images with captions and repeats."""
    count = len(repeats)
    return pa.table(
        {
            "image": [photo(number) for number in range(count)],
            "caption": [f"photo {number}" for number in range(count)],
            "repeats": pa.array(repeats, pa.int32()),
            **columns,
        }
    )


def everything() -> pa.Table:
    """Return rows with repeats, of all splits, with masks."""
    white = io.BytesIO()
    Image.new("L", (40, 30), 255).save(white, "PNG")
    more = {"split": SPLITS, "class_prompt": PROMPTS, "mask": [white.getvalue()] * 8}
    return rows(**more)


def export(table: pa.Table, tmp_path: Path, **arguments: object) -> Result:
    """Run the component."""
    return run_component(
        COMPONENT,
        table,
        tmp_path,
        options={"max_reject_share": "1"},
        **{"output_path": str(tmp_path / "out"), **arguments},
    )


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Return an export in all layouts that train SD 1.5."""
    export(everything(), tmp_path, layouts=SD15)
    return tmp_path / "out"


def images(folder: Path) -> list[int]:
    """Return the numbers of the images right in a folder."""
    return sorted(int(path.stem) for path in folder.glob("*.jpg"))


def subsets(file: Path) -> list[tuple[str, int]]:
    """Return the folders and repeats of all subsets of a configuration of sd-scripts."""
    sets = tomllib.loads(file.read_text())["datasets"]
    return [(s["image_dir"], s["num_repeats"]) for one in sets for s in one["subsets"]]


def test_kohya_repeats_folders(exported):
    """Their names say it, for the trainer's window, and so do the subsets; of metadata, too."""
    folders = [(f"train/{n}_images", n) for n in (1, 3, 5)]
    others = [("validation/1_images", 1), ("regularization/1_images", 1)]
    assert subsets(exported / "kohya/dataset.toml") == folders + others
    assert subsets(exported / "kohya/metadata.toml") == folders
    assert images(exported / "kohya/train/3_images") == [2, 3]
    assert [*json.loads((exported / "kohya/metadata_3.json").read_text())] == [
        "000000000002.jpg",
        "000000000003.jpg",
    ]


def test_simpletuner_counts_from_0(exported):
    """A dataset for each number of repeats, and its masks; of those held out, none."""
    told = json.loads((exported / "simpletuner/config/multidatabackend.json").read_text())
    repeats = {one["id"]: one["repeats"] for one in told if "repeats" in one}
    trained = {f"train-{n}_images": n - 1 for n in (1, 3, 5)}
    assert repeats == trained | {"validation": 0, "regularization": 0}
    masks = {one["source_dataset_id"]: one for one in told if "source_dataset_id" in one}
    assert {*masks} == {*trained}
    for one in (told[1], masks["train-3_images"]):
        assert images(Path(one["instance_data_dir"])) == [2, 3]
    table = pq.read_table(exported / "simpletuner" / told[1]["parquet"]["path"])
    assert table["caption"].to_pylist() == ["photo 2", "photo 3"]


def test_onetrainer_and_ai_toolkit_repeat_folders(exported):
    """By the balancing of a concept, and by the repeats of a dataset."""
    concepts = json.loads((exported / "onetrainer/concepts.json").read_text())
    job = yaml.safe_load((exported / "ai-toolkit/config.yaml").read_text())
    told = job["config"]["process"][0]["datasets"]
    trained = [(f"train/{n}_images", n) for n in (1, 3, 5)]
    of_class = [("regularization", 1)]
    assert [(one["path"], one["balancing"]) for one in concepts] == [
        *trained,
        ("validation", 1),
        *of_class,
    ]
    assert {one["balancing_strategy"] for one in concepts} == {"REPEATS"}
    assert [(one["folder_path"], one["num_repeats"]) for one in told] == trained + of_class
    assert [one.get("mask_path") for one in told[:3]] == [f"masks/{name}" for name, _ in trained]


def test_everydream2_multiplies_images(exported):
    """Each by its own file, so that no folder is divided."""
    for split, numbers in {
        "train": TRAINED,
        "validation": {6: 1},
        "regularization": {7: 1},
    }.items():
        texts = sorted((exported / "everydream2" / split).glob("*.yaml"))
        told = [yaml.safe_load(text.read_text()).get("multiply", 1) for text in texts]
        assert told == [*numbers.values()]


def test_musubi_tuner_repeats_datasets(tmp_path):
    """Each with a list, a folder and a cache of its own."""
    export(everything(), tmp_path, layout="musubi-tuner")
    told = tomllib.loads((tmp_path / "out/dataset.toml").read_text())["datasets"]
    listed = [(one["image_jsonl_file"], one["cache_directory"], one["num_repeats"]) for one in told]
    trained = [(f"train/{n}_images", n) for n in (1, 3, 5)]
    assert listed == [(f"{p}.jsonl", f"cache/{p}", n) for p, n in [*trained, ("regularization", 1)]]
    lines = (tmp_path / "out/train/3_images.jsonl").read_text().splitlines()
    assert [json.loads(line)["image_path"] for line in lines] == [
        "train/3_images/000000000002.jpg",
        "train/3_images/000000000003.jpg",
    ]


@pytest.mark.parametrize("name", BY_DATASETS)
def test_what_repeats_nothing_says_so(exported, name):
    """Each pair is there once, with its number, and the README has what a script can do."""
    read = datasets.load_dataset(str(exported / name))
    told = {split: one["json"] if name == "webdataset" else one for split, one in read.items()}
    repeats = {split: [row["repeats"] for row in one] for split, one in told.items()}
    assert repeats == {"train": [*TRAINED.values()], "validation": [1], "regularization": [1]}
    assert "sees each pair once" in (exported / name / "README.md").read_text()


def test_trainers_that_repeat_are_not_said_not_to(exported):
    """Their READMEs and the log say nothing of it."""
    for name in set(SD15) - {*BY_DATASETS}:
        assert "sees each pair once" not in (exported / name / "README.md").read_text()


def test_the_card_counts_pairs_and_what_an_epoch_has(tmp_path, monkeypatch):
    """Apart: the mark and the dataset have the pairs."""
    monkeypatch.setenv(TRUSTED, str(tmp_path))
    result = export(everything(), tmp_path, layout="kohya")
    text = (tmp_path / "out/README.md").read_text()
    assert "| split | pairs | images an epoch |\n|---|---:|---:|\n" in text
    assert "| regularization | 1 | 1 |\n| train | 6 | 14 |\n| validation | 1 | 1 |\n" in text
    assert "n<1K" in text
    mark = json.loads((tmp_path / "out/export.json").read_text())
    assert mark["pairs"] == {"regularization": 1, "train": 6, "validation": 1}
    assert validate(result.manifest) == []


def test_without_the_field_nothing_is_said_of_epochs(tmp_path):
    """And folders are not divided."""
    export(rows().drop_columns("repeats"), tmp_path, layout="ai-toolkit")
    assert "| split | pairs |\n|---|---:|\n" in (tmp_path / "out/README.md").read_text()
    assert len(images(tmp_path / "out/train")) == 8


def test_repeats_that_cannot_be_meant_are_rejects(tmp_path):
    """Below 1, and above a thousand; null is once."""
    result = export(rows([0, -2, None, 10_000, 1000, 1]), tmp_path, layout="kohya")
    assert result.rejects["reason"].to_pylist() == ["bad_repeats"] * 3
    assert result.rejects["message"].to_pylist() == [
        f"repeats is {number}, which must be from 1 to 1,000" for number in (0, -2, 10_000)
    ]
    assert subsets(tmp_path / "out/dataset.toml") == [
        ("train/1_images", 1),
        ("train/1000_images", 1000),
    ]


def test_balanced_rows_are_seen_equally_often(tmp_path):
    """What `balance_rows` says arrives: two classes of unlike size have as much of an epoch."""
    table = rows([None] * 8).drop_columns("repeats")
    table = table.append_column("class", pa.array(["cat"] * 6 + ["dog"] * 2))
    balanced = run_component(
        BALANCE, table, tmp_path / "a", options={"produces": '{"repeats": "int32"}'}, by="class"
    )
    repeats = balanced.table["repeats"]
    export(table.append_column("repeats", repeats), tmp_path / "b", layout="onetrainer")
    out = tmp_path / "b/out"
    seen = {
        concept["path"]: concept["balancing"] * len(images(out / concept["path"]))
        for concept in json.loads((out / "concepts.json").read_text())
    }
    assert seen == {"train/1_images": 6, "train/3_images": 6}


EDITS = {
    "kohya": ("dataset.toml", b"num_repeats = 3", b"num_repeats = 2"),
    "musubi-tuner": ("dataset.toml", b"num_repeats = 3", b"num_repeats = 2"),
    "simpletuner": ("config/multidatabackend.json", b'"repeats": 2', b'"repeats": 1'),
    "ai-toolkit": ("config.yaml", b"num_repeats: 3", b"num_repeats: 2"),
    "onetrainer": ("concepts.json", b'"balancing": 3.0', b'"balancing": 2'),
    "everydream2": ("train/b.yaml", b"multiply: 3", b"multiply: 2"),
    "imagefolder": ("train/metadata.jsonl", b'"repeats": 3', b'"repeats": 2'),
}


@pytest.mark.parametrize("name", EDITS)
def test_other_repeats_than_were_asked_for_are_found(tmp_path, name):
    """The reader of each layout takes them from where the trainer does."""
    folder = HashedFolder(tmp_path)
    settings = load_module(COMPONENT, "layout").ExportSettings(
        place=str(tmp_path), repeats=True, metadata={"repeats": pa.int32()}
    )
    layout = LAYOUTS[name](name, folder, settings)
    make, texts = (
        load_module(COMPONENT, "training_pairs").Pair,
        load_module(COMPONENT, "pair_texts"),
    )
    for number, (stem, repeats) in enumerate({"a": 1, "b": 3}.items()):
        caption, told = texts.Texts((f"photo {stem}",)), {"repeats": repeats}
        image = photo(number)
        layout.add(make(stem, "train", image, ".jpg", caption, told, 40, 30, repeats=repeats))
    layout.close()
    layout.check()
    file, old, new = EDITS[name]
    content = (tmp_path / file).read_bytes()
    assert old in content
    (tmp_path / file).write_bytes(content.replace(old, new))
    with pytest.raises(InvalidDatasetError, match="train/b reads back to be seen 2 times, not 3"):
        layout.check()
