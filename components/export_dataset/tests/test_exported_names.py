"""`export_dataset`, its files named by what their images were called, read by trainers' readers."""

import json
import re
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fondant_spec.errors import InputDataError
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import load_module
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
LAYOUTS = ["imagefolder", "kohya", "webdataset"]
NAMES = load_module(COMPONENT, "file_names")

SIZE = {"width": 40, "height": 30, "clip_tokens": 2}
NAMED = {  # what an image was called: how its file is called
    "train_station.jpg": "train_station",
    "nested/test.jpg": "test",
    "b-testing.JPG": "b-testing",
    "b-Testing.png": "b-Testing-000000000003",
    "other/test.jpg": "test-000000000004",
    "test-000000000004.jpg": "test-000000000004-000000000005",
    "Straße 1.jpg": "Straße_1",
    "Strasse 1.jpg": "Strasse_1-000000000007",
    "photo.v2.jpg": "photo_v2",
    "IMG_7.jpg_large": "IMG_7",
    "set [1]::*.jpg": "set_1",
    "../../etc/passwd": "passwd",
    "C:\\photos\\cat.jpg": "cat",
    "._hidden.jpg": "hidden",
    "猫.jpg": "猫",
    "con.jpg": "000000000015",
    "....jpg": "000000000016",
    "-rf.jpg": "rf",
    "x" * 300: "x" * 100,
    None: "000000000019",
    "": "000000000020",
    "validation/metadata.jsonl": "metadata",
}


def export(names: list[str | None], tmp_path: Path, **arguments: object) -> Result:
    """Export an image for each name, with a caption that tells its number."""
    columns = {
        "image": [photo(number) for number in range(len(names))],
        "caption": [f"photo {number}" for number in range(len(names))],
        "file_name": pa.array(names, pa.string()),
    }
    arguments = {"output_path": str(tmp_path / "out")} | arguments
    return run_component(COMPONENT, pa.table(columns), tmp_path, **arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_keep_the_names_of_their_images(tmp_path, layout):
    """Made safe, each once also where case is ignored, and readable in every layout."""
    export(list(NAMED), tmp_path, layout=layout, name_files_by="file_name")
    out = tmp_path / "out"
    if layout == "kohya":
        files = sorted((out / "train").rglob("*.txt"))
        found = {path.stem: path.read_text().strip() for path in files}
    elif layout == "webdataset":
        rows = datasets.load_dataset(str(out), split="train", streaming=True)
        found = {row["__key__"]: row["txt"] for row in rows}
    else:
        lines = (out / "train" / "metadata.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        found = {Path(line["file_name"]).stem: line["text"] for line in told}
        assert [line["source_name"] for line in told] == list(NAMED)
        assert [line["id"] for line in told] == [f"{n:012}" for n in range(len(NAMED))]
        assert len(datasets.load_dataset("imagefolder", data_dir=str(out), split="train")) == 22
    assert found == {stem: f"photo {number}" for number, stem in enumerate(NAMED.values())}


def test_files_are_named_by_id_unless_asked_otherwise(tmp_path):
    """The name is in the metadata all the same."""
    export(["cat.jpg", None], tmp_path)
    lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"file_name": "000000000000.jpg", "text": "photo 0", "source_name": "cat.jpg", **SIZE},
        {"file_name": "000000000001.jpg", "text": "photo 1", "source_name": None, **SIZE},
    ]


@pytest.mark.parametrize("row_id", ["con", "nul", "com1", "prn"])
def test_an_id_that_windows_has_a_device_for_names_no_file(tmp_path, row_id):
    """It takes such a name for the device, whatever the suffix: the hash of the id does instead."""
    table = pa.table({"id": [row_id], "image": [photo(0)], "caption": ["x"]})
    run_component(COMPONENT, table, tmp_path, output_path=str(tmp_path / "out"))
    (file,) = (tmp_path / "out" / "train").glob("*.jpg")
    assert len(file.stem) == 32


def test_a_rejected_row_takes_no_name(tmp_path):
    """The name is given to the row that is exported."""
    columns = {"image": [b"no", photo(1)], "caption": ["a", "b"], "file_name": ["c.jpg"] * 2}
    run_component(
        COMPONENT,
        pa.table(columns),
        tmp_path,
        output_path=str(tmp_path / "out"),
        name_files_by="file_name",
        options={"max_reject_share": "1"},
    )
    assert [path.name for path in (tmp_path / "out" / "train").glob("*.jpg")] == ["c.jpg"]


def test_without_names_there_is_nothing_to_name_files_by(tmp_path):
    """The error says which field is wanted, and how to give another one that name."""
    table = pa.table({"image": [photo(0)], "caption": ["x"]})
    with pytest.raises(InputDataError) as error:
        run_component(COMPONENT, table, tmp_path, name_files_by="file_name")
    assert str(error.value) == (
        "export_dataset: the rows have no field 'file_name', which name_files_by goes by; say "
        "which it is, as in consumes={'file_name': 'image_url'}."
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=40) | st.sampled_from(["a.jpg", "A.jpg", "a-1.jpg"]), max_size=8))
def test_any_names_become_safe_ones(names):
    """No two are alike where case is ignored, and none holds what a file system or reader reads."""
    given_names = NAMES.SourceNames()
    stems = [given_names.stem(name, f"{number}") for number, name in enumerate(names)]
    assert len({stem.casefold() for stem in stems}) == len(stems)
    for stem in stems:
        assert re.fullmatch(r"\w[\w-]*", stem)
        assert len(stem.encode()) <= 140
        assert stem[0] not in "-_"
