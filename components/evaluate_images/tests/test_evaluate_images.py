"""Evaluating through the component's argument vector, with the demo's CLIP and its photographs."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.errors import InputDataError, MissingDependencyError, StorageError
from fondant_spec.testing import Result, run_component
from tests.made_evaluation import LABELS, NEW, drawn, evaluated_rows

FOLDER = Path(__file__).parents[1]


def run(table: pa.Table, tmp_path: Path, **arguments: object) -> Result:
    """Run the component with the demo's CLIP."""
    given = {"clip_model_id": str(CLIP_FOLDER), "labels": LABELS, "resamples": 200}
    return run_component(FOLDER, table, tmp_path, **(given | arguments))


def told_by(result: Result) -> dict[str, object]:
    """Return the report as JSON."""
    mark, page, figures = map(Path, result.manifest.artifacts)
    assert (mark.name, page.name) == ("export.json", "report.html")
    return json.loads(figures.read_text())


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A model that learned a subject."""
    return run(evaluated_rows(), tmp_path_factory.mktemp("evaluated"))


def test_a_model_that_learned_is_nearer(evaluated):
    """By all that measures it, and beyond chance; the class that it learned is what moved."""
    told = told_by(evaluated)
    assert told["verdict"]["kind"] == "nearer"
    assert told["images"]["compared_pairs"] == told["images"]["held_out"] == 40
    assert told["settings"]["resolution"] == 64
    figures = told["figures"]
    for gain in (figures["mmd"]["gain"], figures["clusters"]["figures"]["gain"]["whole"]):
        assert gain["value"] > gain["null"]["p99"]
        assert gain["interval"]["low"] > 0
    assert figures["asked_class"]["tuned"] > figures["asked_class"]["base"]
    assert figures["clip_score"]["difference"]["value"] > 0
    shares = {one["label"]: one["shares"] for one in figures["clusters"]["classes"]}
    assert shares[NEW]["base"] < 0.03
    assert shares[NEW]["tuned"] > 0.1
    assert figures["clusters"]["clusters"][0]["label"] == NEW
    assert {one["label"] for one in figures["clusters"]["classes"] if one["moved"]} == {NEW}
    assert set(figures["copies"]) == {"base", "tuned"}
    assert figures["copies"]["tuned"]["baseline"]["1"] > 0
    assert evaluated.table.num_rows == 0


def test_images_of_the_class_do_not_count(tmp_path):
    """They are no originals, neither held out nor trained on."""
    rows = evaluated_rows(12, 10).to_pylist()
    rows[-1]["split"] = rows[-2]["split"] = "regularization"
    told = told_by(run(pa.Table.from_pylist(rows, evaluated_rows(1, 0).schema), tmp_path))
    assert told["images"]["held_out"] + told["images"]["training"] == len(rows) - 2


def test_the_page_stands_alone(evaluated):
    """Nothing of it is from elsewhere, and every picture says what it is."""
    page = Path(evaluated.manifest.artifacts[1]).read_text()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(one.startswith(("data:image/jpeg;base64,", "#")) for one in sources)
    assert "url(" not in page
    assert "<script" not in page
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) > 3 * 24
    assert all(re.search(r'alt="[^"]+"', one) for one in pictures)
    assert "It helped" in page
    assert f"tuned: a photo of {NEW}" in page


def test_a_model_that_learned_nothing_shows_no_effect(tmp_path):
    """It draws as the base does, with other noise."""
    told = told_by(run(evaluated_rows(learned=False), tmp_path))
    assert told["verdict"]["kind"] == "not_shown"
    gain = told["figures"]["mmd"]["gain"]
    assert gain["interval"]["low"] < 0 < gain["interval"]["high"]


def test_figures_depend_on_neither_batch_nor_order(evaluated, tmp_path):
    """Rows in other partitions and in another order, one image at a time."""
    rows = evaluated_rows()
    ids = pa.array([f"{number:012d}" for number in range(len(rows))])
    order = pa.array([(7 * number) % len(rows) for number in range(len(rows))])
    mixed = rows.add_column(0, "id", ids).take(order)
    made = run(mixed, tmp_path, rows_per_partition=17, batch_size=1)
    assert_alike(told_by(evaluated)["figures"], told_by(made)["figures"])


def assert_alike(ones, others, path=""):
    """All the same, numbers to within rounding."""
    if isinstance(ones, dict):
        assert ones.keys() == others.keys(), path
        for key, one in ones.items():
            assert_alike(one, others[key], f"{path}/{key}")
    elif isinstance(ones, list):
        assert len(ones) == len(others), path
        for place, (one, other) in enumerate(zip(ones, others, strict=True)):
            assert_alike(one, other, f"{path}/{place}")
    elif isinstance(ones, float):
        assert others == pytest.approx(ones, rel=1e-3, abs=1e-5), path
    else:
        assert ones == others, path


def test_too_few_samples_are_refused(tmp_path):
    """And it says how many it takes."""
    with pytest.raises(InputDataError, match=r"7 rows have an image of both models, .* from 8 on"):
        run(evaluated_rows(8, 7), tmp_path)
    with pytest.raises(InputDataError, match="0 rows have an image of both"):
        run(evaluated_rows(8, 0), tmp_path / "none")


def test_what_is_missing_is_told(tmp_path):
    """No held-out originals, no prompts, no classes, one model's image only, a broken one."""
    rows = evaluated_rows(8, 16).drop_columns(["split", "caption", "class"]).to_pylist()
    rows[-1]["base_image"] = None
    rows[-2]["tuned_image"] = b"no image"
    table = pa.Table.from_pylist(
        rows, evaluated_rows(1, 0).select(["image", "base_image", "tuned_image"]).schema
    )
    result = run(table, tmp_path)
    told = told_by(result)
    warnings = " ".join(told["warnings"])
    for said in (
        "0 originals are held out",
        "The smallest set has 14 images",
        "1 row has the image of one model only",
        "no caption, so there is no CLIP score",
    ):
        assert said in warnings
    assert told["figures"]["clip_score"] is None
    assert told["figures"]["asked_class"]["pairs"] == 14  # by what the originals show
    assert told["figures"]["copies"]["tuned"]["baseline"] == {}
    assert told["images"]["training"] == 23
    (reject,) = result.rejects.to_pylist()
    assert reject["reason"] == "not_an_image"
    assert reject["message"].startswith("tuned_image: ")


def test_samples_of_training_prompts_and_no_training_rows(tmp_path):
    """Figures are less worth, which is told; and of copies nothing can be said."""
    rows = evaluated_rows(0, 24)
    told = told_by(run(rows, tmp_path, labels=[NEW, "boat"]))
    assert "No row was trained on" in " ".join(told["warnings"])
    assert "samples ask for a class that is not one of `labels`" in " ".join(told["warnings"])
    assert told["figures"]["copies"] == {}
    splits = pa.array(["validation"] * 12 + ["train"] * 12)
    mixed = rows.set_column(rows.column_names.index("split"), "split", splits)
    told = told_by(run(mixed, tmp_path / "mixed"))
    assert "12 samples are of a prompt that was trained on" in " ".join(told["warnings"])


def test_grids_are_shown_with_their_settings(tmp_path):
    """As the field's metadata says them; scales are columns, steps are rows."""
    rows = evaluated_rows(8, 10)
    files = [[drawn(NEW, 5000 + n, 0) for n in range(3)] + [b"broken"]] * 2
    grid = pa.array([None] * 16 + files, pa.list_(pa.binary()))
    metadata = {"grid": {"guidance_scale": [1.5, 7.5], "num_inference_steps": [10, 50]}}
    made = run(rows.append_column("grid", grid), tmp_path, metadata=metadata, resamples=100)
    page = Path(made.manifest.artifacts[1]).read_text()
    assert 'alt="guidance 7.5, 10 steps"' in page
    assert page.count('<table class="grid">') == 2
    assert page.count('<span class="no-picture">no picture</span>') >= 2


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    """It holds a file that was not written by this step."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="is not empty"):
        run(evaluated_rows(8, 10), tmp_path, output_path=str(target))


def test_kid_and_fid_need_torch_fidelity(tmp_path):
    """That is told before anything is read."""
    with pytest.raises((MissingDependencyError, InputDataError), match="inception_weights"):
        run(evaluated_rows(0, 0), tmp_path, inception_weights=str(tmp_path / "inception.pth"))
