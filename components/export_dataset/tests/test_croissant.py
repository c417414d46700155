"""`croissant.json` of each layout, checked and read by MLCommons' own library."""

import logging
from pathlib import Path

import mlcroissant
import pyarrow as pa
import pytest
from etils import epath

from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import load_module
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
LAYOUTS = [*load_module(COMPONENT, "layouts").LAYOUTS]
TABLES = {"imagefolder": "text", "musubi-tuner": "caption", "simpletuner": "caption"}
CAPTIONS = ["a cat", 'a "dog", or two', "café 猫", "x: y", "5", "the last"]
MISSING = {"citeAs", "datePublished"}
"""What Croissant recommends of a dataset that is published, and cited: an export is neither yet."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in all layouts."""
    folder = tmp_path_factory.mktemp("croissant")
    table = pa.table(
        {
            "image": [photo(number) for number in range(6)],
            "caption": CAPTIONS,
            "license": ["CC BY 4.0"] * 6,
            "similarity": pa.array([0.5, None, 0.25, 1, 0, 0.75], pa.float32()),
            "repeats": pa.array([1, 3, 1, 3, 2, 1], pa.int32()),
        }
    )
    options = {"cache": "false"}
    settings = {"layouts": LAYOUTS, "validation_fraction": 0.4}
    where = str(folder / "out")
    run_component(COMPONENT, table, folder, options=options, output_path=where, **settings)
    return folder / "out"


def read(folder: Path) -> mlcroissant.Dataset:
    """Return the dataset that a description is of, once it has been found without an error."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert {warning.rpartition("/")[2].partition('"')[0] for warning in issues.warnings} == MISSING
    return dataset


def records(dataset: mlcroissant.Dataset, name: str) -> list[dict[str, object]]:
    """Return the records of a set, without its name before those of the fields."""
    found = [
        {key.partition("/")[2]: value for key, value in record.items()}
        for record in dataset.records(name)
    ]
    return [
        {key: v.decode() if isinstance(v, bytes) else v for key, v in record.items()}
        for record in found
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_description_is_valid(exported, layout):
    """The library finds no fault, and the licence is that of the images."""
    (licence,) = read(exported / layout).metadata.license
    assert str(licence) == "https://spdx.org/licenses/CC-BY-4.0.html"


@pytest.mark.parametrize("layout", TABLES)
def test_tables_give_all_captions(exported, layout):
    """A table's columns are the fields of the records, numbers among them as numbers."""
    found = records(read(exported / layout), "pairs")
    assert sorted(record[TABLES[layout]] for record in found) == sorted(CAPTIONS)
    if layout == "imagefolder":
        assert {record["similarity"] for record in found} == {0.5, None, 0.25, 1, 0, 0.75}


def test_tables_give_images(exported):
    """Images in a table come decoded, with their captions."""
    found = records(read(exported / "parquet"), "pairs")
    assert sorted(record["text"] for record in found) == sorted(CAPTIONS)
    assert {record["image"].size for record in found} == {(40, 30)}


@pytest.mark.parametrize("layout", ["kohya", "webdataset"])
def test_files_give_images_and_captions(exported, layout, tmp_path, monkeypatch):
    """Files of one stem are an image and its caption, in folders as in archives."""
    extract = "mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH"
    monkeypatch.setattr(extract, epath.Path(tmp_path))  # it is below the home folder
    dataset = read(exported / layout)
    texts = {record["stem"]: record["content"] for record in records(dataset, "texts.txt")}
    assert [texts[stem] for stem in sorted(texts)] == CAPTIONS
    images = records(dataset, "images.jpg")
    assert {record["stem"] for record in images} == texts.keys()
    assert {record["content"].size for record in images} == {(40, 30)}
