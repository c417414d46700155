"""`fondant-spec report` on datasets whose content is known, as JSON and as a page."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from explorer.report.drift import drifts_of
from fondant_spec.cli import main
from fondant_spec.dataset.history import history_of
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.manifest import Field, Input, Manifest
from fondant_spec.dataset.partition_writer import write_table
from fondant_spec.dataset.partitions import row_id
from fondant_spec.testing import run_component, write_dataset
from tests.explorer.reported import known_rows, picture

COMPONENTS = Path(__file__).parents[2] / "components"


def told(base: Path, dataset: str | Manifest = "given", **options: object) -> dict:
    """Return a report as JSON; the page lies beside it, as `report.html`."""
    name = dataset if isinstance(dataset, str) else dataset.location
    words = ["report", name, "--base-path", str(base), "--into", str(base / "report.html")]
    words += ["--json", str(base / "report.json")]
    for option, value in options.items():
        words += [f"--{option}", str(value)]
    assert main(words) == 0
    return json.loads((base / "report.json").read_text(encoding="utf-8"))


def page(base: Path) -> str:
    """Return the page that was written last."""
    return (base / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def known(tmp_path):
    """Twelve rows of which everything is known."""
    write_dataset(known_rows(), tmp_path, rows_per_partition=5)
    return tmp_path


def test_sizes_and_their_buckets(known):
    """By kohya's rules, for the models' resolutions; small buckets are told."""
    sizes = told(known)["sizes"]
    assert (sizes["images"], sizes["missing"], sizes["kinds"]) == (11, 1, 3)
    assert sizes["most"] == {"512x512": 6, "1024x400": 4, "1024x2000": 1}
    small, large = sizes["arrangements"]
    assert small["models"] == ["SD 1.5"]
    assert small["enlarging"]["images"] == {"320x704": 1, "512x512": 6, "768x320": 4}
    assert large["models"] == ["SDXL", "FLUX.1 dev", "FLUX.2 dev"]
    assert large["enlarging"]["enlarged"] == 10
    assert large["kept"]["images"] == {"512x512": 6, "1024x384": 4, "704x1344": 1}
    assert "smaller than a batch" in page(known)
    assert "1 of 3 buckets have fewer images than a batch of 4: 1 image in all." in page(known)
    told(known, batch=1)
    assert "smaller than a batch" not in page(known)
    assert "per epoch" not in page(known)


def test_buckets_count_images_as_often_as_they_are_repeated(tmp_path):
    """What an epoch has decides whether a batch is filled; null is once, and images stay images."""
    repeats = pa.array([1, None, *[2] * 4, *[1] * 4, 4, 7], pa.int32())
    write_dataset(known_rows().append_column("repeats", repeats), tmp_path)
    sizes = told(tmp_path)["sizes"]
    assert (sizes["images"], sizes["seen"]) == (11, 18)
    assert sizes["most"]["512x512"] == 6
    small, large = sizes["arrangements"]
    assert small["enlarging"]["images"] == {"320x704": 4, "512x512": 10, "768x320": 4}
    assert large["enlarging"]["enlarged"] == 14
    assert "18 per epoch" in page(tmp_path)
    assert "smaller than a batch" not in page(tmp_path)


def test_captions(known):
    """Tokens by encoder; what says the same, but for case, accents and signs; what is missing."""
    captions = told(known)["captions"]
    assert (captions["captions"], captions["missing"]) == (10, 2)
    clip, t5, mistral = captions["tokens"]
    assert (clip["encoder"], clip["within"], clip["over"]) == (
        "CLIP",
        {"75": 9, "150": 1, "225": 0},
        0,
    )
    assert (clip["longest"], t5["within"], mistral["models"]) == (80, {"512": 10}, ["FLUX.2 dev"])
    text = "1 of 10 captions are longer than 75 tokens of CLIP: trainers limited to one chunk"
    assert text in page(known)
    assert captions["repeated"] == 3
    assert list(captions["most_repeated"].values()) == [3]
    assert {"words": "a photo of number", "captions": 6, "share": 0.6} in captions["phrases"]


def test_scores_tags_hosts_and_licences(known):
    """Numbers with the rows at their ends, but for those that only name; the others counted."""
    report = told(known)
    scores = {one["name"]: one for one in report["scores"]}
    assert list(scores) == ["image_width", "image_height", "score", "status"]
    score = scores["score"]
    assert score["spread"]["missing"] == 1
    assert score["lowest"] == [row_id(n) for n in range(4)]
    assert score["highest"] == [row_id(n) for n in range(7, 11)]
    assert sum(score["spread"]["bars"]) == 11
    assert report["tags"]["most"] == {"cat": 4, "red": 4}
    assert report["tags"]["missing"] == 8
    assert report["hosts"]["most"] == {"a.example": 9, "b.example": 3}
    assert report["licences"]["most"] == {"cc-by-2.0": 6, "mit": 3}
    assert report["licences"]["missing"] == 3
    text = page(known)
    assert "75% of the images come from one host, a.example" in text
    assert "3 images without a known licence." in text
    assert text.count('src="data:image/jpeg;base64,') == 8


def test_steps_groups_and_their_copies(tmp_path):
    """Rows of each step with the losses; the pictures of the largest groups, copies among them."""
    same = [picture(1), picture(1), picture(1), picture(2), picture(2), picture(3)]
    table = pa.table({"image": same, "sha256": ["a", "a", "a", "b", "b", "c"]})
    kept = run_component(
        COMPONENTS / "deduplicate_images", table, tmp_path, keep="first", compare=["sha256"]
    )
    report = told(tmp_path / "base", kept.manifest)
    given, deduplicated = report["steps"]
    assert (given["rows"], deduplicated["rows_in"], deduplicated["rows"]) == (6, 6, 3)
    assert deduplicated["lost"] == {"failed": {}, "filtered": {"duplicate_of": 3}}
    groups = report["groups"]
    assert (groups["groups"], groups["left_out"]) == (3, 3)
    assert groups["by_size"] == {"1": 1, "2": 1, "3": 1}
    largest, second = groups["largest"]
    assert [(one["row"], one["left_out"]) for one in largest["members"]] == [
        (row_id(0), False),
        (row_id(1), True),
        (row_id(2), True),
    ]
    assert second["images"] == 2
    assert page(tmp_path / "base").count('class="left-out" src="data:') == 3


ABOUT = {"model_id": "clip", "modality": "image"}


def after(
    source: Manifest, base: Path, step: str, table: pa.Table, metadata: dict[str, str] = ABOUT
) -> Manifest:
    """Write a dataset with new ids, as a step that follows another one does."""
    (base / "pipeline" / "runs").mkdir(exist_ok=True)
    folder = PipelineFolder.of(str(base), "pipeline").step(step, "1" * 16)
    partition = write_table(folder.data, "part-00000", table)
    fields = {
        one.name: Field(one.name, one.type, folder.data, metadata)
        for one in table.schema
        if one.name != "id"
    }
    made = Manifest(
        pipeline_name="pipeline",
        step_id=step,
        run_id="test",
        cache_key="1" * 16,
        location=folder.manifest,
        index_location=folder.data,
        fields=fields,
        partitions=(partition,),
        inputs=(Input(source.location, source.digest),),
        root=folder.manifest,
    )
    made.write()
    return made


def embedded(count: int, shift: float, seed: int) -> pa.Table:
    """Return rows with vectors."""
    made = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    made[:, 0] += shift
    column = pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), 8)
    return pa.table({"id": [row_id(n) for n in range(count)], "embedding": column})


def test_drift_from_seeds_to_finds_to_what_was_kept(tmp_path):
    """Each two sets of one model are compared; a filter makes a set of its own."""
    metadata = {"embedding": {"model_id": "clip", "modality": "image"}}
    seeds = write_dataset(embedded(40, 0, 1), tmp_path, metadata=metadata)
    hits = after(seeds, tmp_path, "hits", embedded(80, 3, 2))
    kept = run_filter(hits, tmp_path)
    drifts = drifts_of(history_of(kept))
    assert [(one.step, one.vectors) for one in drifts.sets] == [
        ("given", 40),
        ("hits", 80),
        ("filter_rows", 50),
    ]
    by_names = {(one.one, one.other): one.drift for one in drifts.comparisons}
    assert by_names["given", "hits"].is_more_than_chance
    assert not by_names["hits", "filter_rows"].is_more_than_chance
    assert told(tmp_path, kept)["drift"]["comparisons"][0]["drift"]["compared"] == [40, 80]
    assert "differ from those after given by more than two samples of one set do" in page(tmp_path)


def run_filter(manifest: Manifest, base: Path) -> Manifest:
    """Keep the first fifty rows, by the component."""
    words = ["execute", str(COMPONENTS / "filter_rows"), "--base_path", str(base)]
    words += ["--input_manifest_path", manifest.location, "--where", f"id < '{row_id(50)}'"]
    assert main(words) == 0
    return Manifest.read(next(base.glob("*/filter_rows/*/manifest.json")).as_posix())


def test_vectors_of_another_model_are_not_compared(tmp_path):
    """Nor those of texts: their space has a part of its own."""
    metadata = {"embedding": {"model_id": "clip", "modality": "text"}}
    seeds = write_dataset(embedded(40, 0, 1), tmp_path, metadata=metadata)
    hits = after(seeds, tmp_path, "hits", embedded(80, 3, 2))
    assert drifts_of(history_of(hits)) is None
    assert told(tmp_path, hits)["drift"] is None
    assert "No two steps have vectors of one model." in page(tmp_path)


NUMBERS = pa.list_(pa.float32())


@pytest.mark.parametrize(
    "weights", [[None] * 40, [[0.5]] * 39 + [[0.5, 1.0]]], ids=["none at all", "some"]
)
@pytest.mark.parametrize("about", [{}, {"model_id": "a tagger"}], ids=["edits", "a tagger"])
def test_weights_of_tags_are_no_vectors(tmp_path, weights, about):
    """They are lists of numbers, too, but nothing to compare images by."""
    tagged = {"id": [row_id(n) for n in range(40)], "tag_weights": pa.array(weights, NUMBERS)}
    seeds = write_dataset(embedded(40, 0, 1), tmp_path, metadata={"embedding": ABOUT})
    hits = after(seeds, tmp_path, "hits", pa.table(tagged), about)
    last = after(hits, tmp_path, "edited", pa.table(tagged), about)
    assert drifts_of(history_of(last)) is None
    assert told(tmp_path, last)["drift"] is None


@pytest.mark.parametrize("vector", [None, []], ids=["null", "empty"])
def test_a_step_without_one_vector_is_left_out(tmp_path, vector):
    """Sets of nothing are none to compare."""
    nothing = {
        "id": [row_id(n) for n in range(3)],
        "embedding": pa.array([vector] * 3, NUMBERS),
    }
    made = write_dataset(pa.table(nothing), tmp_path, metadata={"embedding": ABOUT})
    last = after(made, tmp_path, "hits", pa.table(nothing))
    assert drifts_of(history_of(last)) is None


@pytest.mark.parametrize("option", ["--into", "--json"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("", "is a folder"),
        ("taken/report", "taken is no folder"),
        ("/proc/report", "/proc cannot be written ("),
    ],
)
def test_a_place_that_cannot_be_written(monkeypatch, known, capsys, option, place, why):
    """It is told in a sentence, before the report is made."""
    monkeypatch.setattr("explorer.report.report.report_of", None)
    (known / "taken").write_text("a file")
    words = ["report", "given", "--base-path", str(known), option, str(known / place)]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {option}: ")
    assert told.endswith("; name a file in a folder that you may write to.\n")
    assert why in told


def test_hostile_rows(tmp_path):
    """Markup and signs that nobody sees are spelled out; broken images leave a place."""
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    table = pa.table(
        {
            "id": [f"{n}{evil}" for n in range(4)],
            "image": [b"<svg onload=alert(1)>", None, picture(1), b""],
            "caption": [evil, evil, f"\u202e{evil}", "x"],
            "final_url": [f"https://{evil}/"] * 4,
            "license": [evil] * 4,
            "tags": [[evil]] * 4,
            "score": [0.1, 0.2, float("inf"), None],
        }
    )
    write_dataset(table, tmp_path)
    report = told(tmp_path)
    assert report["captions"]["captions"] == 4
    text = page(tmp_path)
    assert "<script" not in text
    assert not re.search(r"<[^>]*\bonerror=", re.sub(r'"[^"]*"', '""', text))
    assert not re.search(r'(src|href)="(?!data:image/jpeg;base64,|#)', text)
    assert "Content-Security-Policy" in text
    assert text.count('class="no-picture"') == 4


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"caption": pa.array([], pa.string()), "score": pa.array([], pa.float32())}),
        pa.table({"name": ["a", "b"]}),
        pa.table({"caption": pa.array([None, ""], pa.string()), "score": [None, float("nan")]}),
        pa.table({"image_width": [0, -1], "image_height": [1, 1], "group_id": ["a", None]}),
    ],
    ids=["empty", "names alone", "nothing in it", "no size"],
)
def test_datasets_with_little_in_them(tmp_path, table):
    """What is not there is left out."""
    write_dataset(table, tmp_path)
    report = told(tmp_path)
    assert report["rows"] == len(table)
    assert report["sizes"] is None
    assert ("The dataset has no rows." in page(tmp_path)) == (not len(table))


def test_what_is_gone_is_told(tmp_path):
    """An earlier dataset that was removed, and a partition that cannot be read."""
    kept = run_component(
        COMPONENTS / "deduplicate_images",
        pa.table({"sha256": list("aabcd"), "caption": list("vwxyz")}),
        tmp_path,
        keep="first",
    )
    given = Path(kept.manifest.inputs[0].location)
    text = given.read_text(encoding="utf-8")
    given.unlink()
    report = told(tmp_path / "base", kept.manifest)
    assert [one["step"] for one in report["steps"]] == ["deduplicate_images"]
    assert "there is no such manifest" in report["problems"][0]
    assert "there is no such manifest" in page(tmp_path / "base")
    given.write_text(text, encoding="utf-8")
    next(given.parent.glob("data/*.parquet")).write_bytes(b"PAR1")
    report = told(tmp_path / "base", kept.manifest)
    assert report["problems"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing"], "has no result of a step 'nothing'"),
        (["given", "--batch", "0"], "--batch must be 1 or more, not 0."),
    ],
)
def test_what_it_will_not_do(known, words, why, capsys):
    """It says what is wrong in a sentence."""
    assert main(["report", *words, "--base-path", str(known)]) == 2
    assert why in capsys.readouterr().err


def test_a_page_unless_json_alone_is_asked_for(known, monkeypatch):
    """`report.html` in the folder where it is started."""
    monkeypatch.chdir(known)
    assert main(["report", "given", "--base-path", ".", "--json", "facts.json"]) == 0
    assert not (known / "report.html").exists()
    assert main(["report", "given", "--base-path", "."]) == 0
    assert page(known).startswith("<!doctype html>")
