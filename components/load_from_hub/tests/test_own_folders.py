"""What a pipeline wrote below the folder that it reads is no part of the dataset."""

import json
import shutil
from pathlib import Path

import pytest

from examples.caption_my_images import main
from fondant_spec.errors import InputDataError
from fondant_spec.testing import run_component
from tests.tiny_models import make_model

ROOT = Path(__file__).parents[3]
EXPORT = ROOT / "components" / "export_dataset"
PAGE = ROOT / "examples" / "caption_page"
KEY = "0123456789abcdef"
JOURNAL = "edits/20260101T000000-0123456789ab.jsonl"
LEASE = f"flow/load/{KEY}/leases/0-of-1/version"


def names(result) -> list[str]:
    """Return which files became rows."""
    return result.table["file_name"].to_pylist()


@pytest.fixture
def mine(fill, load, tmp_path):
    """A folder of two images, below which an export and a page lie."""
    folder = fill("a.jpg", "trip/b.jpg")
    rows = load(folder, produces={}).table
    rows = rows.append_column("caption", [["a cat", "a dog"]])
    shutil.rmtree(tmp_path / "step")
    out = folder / "out"
    run_component(EXPORT, rows, tmp_path / "x", output_path=str(out / "set"), layouts=["kohya"])
    run_component(PAGE, rows, tmp_path / "y", output_path=str(out / "look"))
    return folder


def test_exports_and_pages_are_left_out(mine, load, caplog):
    """They are named in the log; what lies beside them is loaded."""
    shutil.copy(mine / "a.jpg", mine / "out" / "look" / "c.jpg")
    assert names(load(mine)) == ["a.jpg", "out/look/c.jpg", "trip/b.jpg"]
    wrote = "out/look/pictures, out/look/texts, out/set"
    assert f"not loaded, as an export, a page or a run wrote it: {wrote}" in caplog.text


def test_an_export_is_loaded_where_it_is_what_is_asked_for(mine, load):
    """What the user names is no folder below another one."""
    assert len(load(mine / "out" / "set" / "kohya").table) == 2
    with pytest.raises(InputDataError, match=r"loaded .*, 3 written by these programs"):
        load(mine / "out" / "set" / "..")


def test_an_export_that_broke_off_is_left_out(mine, load):
    """It has a note in place of its mark."""
    (mine / "out" / "set" / "export.json").rename(mine / "out" / "set" / ".being_replaced.json")
    assert names(load(mine)) == ["a.jpg", "trip/b.jpg"]


@pytest.mark.parametrize(
    "marks",
    [
        ["flow/load/{key}/leases/0-of-1/version"],
        ["flow/load/{key}/checkpoints/part-00000.json"],
        ["flow/load/{key}/manifest.json", "flow/load/{key}/data/part-00000.parquet"],
        ["flow/runs/20260101T000000-aaaaaa/run.json"],
    ],
)
def test_base_paths_are_left_out(fill, load, marks):
    """Finished and begun: rows, logs and edits are no files of the dataset's rows."""
    files = {mark.format(key=KEY): "{}" for mark in marks} | {JOURNAL: '{"id": "x"}\n'}
    files["flow/export/1/2.jpg"] = "no image"
    folder = fill("a.jpg", **files)
    assert names(load(folder)) == ["a.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        f"{KEY}/x.jpg",
        f"set/{KEY}/x.jpg",
        "runs/1/x.jpg",
        "edits/x.jpg",
        "pictures/x.jpg",
        "texts/x.jpg",
        "b/export.json/x.jpg",
    ],
)
def test_folders_of_the_same_names_are_loaded(fill, load, name):
    """Only what has the marks is left out: a name alone says nothing."""
    assert names(load(fill("a.jpg", name))) == sorted(["a.jpg", name])


def test_own_images_beside_a_run_and_a_page_are_loaded(fill, load):
    """Folders of the names that a run and a page use: what these did not write is the user's."""
    mine = ["a.jpg", "edits/x.jpg", "edits/y.jpg", "pictures/z.jpg", "texts/t.jpg"]
    ours = {LEASE: "{}", "texts/.written.json": "{}", "index.html": ""}
    assert names(load(fill(*mine, **ours))) == mine


@pytest.mark.parametrize(
    "name", ["pictures/000002.jpg", "pictures/a/000000.jpg", "pictures/x.jpg", "texts/x.jpg"]
)
def test_own_images_in_a_folder_of_a_page_are_loaded(mine, load, name):
    """Also where they are called as the page would have called its next picture."""
    place = mine / "out" / "look" / name
    place.parent.mkdir(exist_ok=True)
    shutil.copy(mine / "a.jpg", place)
    assert f"out/look/{name}" in names(load(mine))


def test_own_pictures_by_number_without_a_page(fill, load):
    """A list of texts alone does not make numbered photos a page's."""
    listing = {"a.txt": {"image": "1", "caption": "a"}}
    folder = fill("pictures/000000.jpg", **{"texts/.written.json": json.dumps(listing)})
    assert names(load(folder)) == ["pictures/000000.jpg"]


def test_an_own_image_among_edits_is_loaded(fill, load):
    """Beside the files of the journal, which are no rows, in the folder of these or below."""
    mine = ["a.jpg", "edits/b/c.jpg", "edits/d.jpg"]
    assert names(load(fill(*mine, **{LEASE: "{}", JOURNAL: "{}"}))) == mine


def test_a_mark_of_somebody_else(fill, load):
    """An export.json that lists no files is none of ours."""
    folder = fill("b/x.jpg", **{"b/export.json": json.dumps({"files": ["x.jpg"]})})
    assert names(load(folder)) == ["b/x.jpg"]


@pytest.mark.long
def test_three_runs_from_inside_the_folder(fill, tmp_path, monkeypatch, capfd):
    """With the defaults all is written below the images: each run loads the same ones."""
    folder = fill("a.jpg", "b.jpg", "trip/c.jpg")
    model = str(make_model("blip", tmp_path / "blip"))
    monkeypatch.chdir(folder)
    for _ in range(3):
        words = [".", "--model", model, "--trainer", "kohya"]
        assert main([*words, "--set", "caption_images.precision=fp32"]) == 0
        manifests = folder.glob("artifacts/my-captions/load_from_hub/*/manifest.json")
        assert {json.loads(one.read_text())["rows"] for one in manifests} == {3}
    assert "not loaded" in capfd.readouterr().out
