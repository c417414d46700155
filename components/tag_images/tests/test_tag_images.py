"""Tags of images by a small tagger whose weights are known, through the component."""

import csv
import io
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.errors import FondantError, InputDataError
from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import load_module
from tests.hub_server import COMMIT, hub_of
from tests.onnx_models import tagger_bytes, write_tagger

COMPONENT = Path(__file__).parents[1]
TAGS = [
    ("red_thing", 0, (0, 0, 8), -4.0),  # sure of red images, by sigmoid(8 red - 4)
    ("blue_thing", 0, (8, 0, 0), -4.0),
    ("^_^", 0, (0, 0, 6), -4.0),
    ("Anna_Karenina", 4, (0, 0, 8), -4.0),
    ("sensitive", 9, (8, 0, 0), -4.0),
    ("general", 9, (0, 0, 7), -4.0),
]
WITH_ALL = {
    "produces": json.dumps(
        {"tag_weights": {"type": "array", "items": {"type": "float32"}}, "rating": "string"}
    )
}
RED, BLUE = (255, 0, 0), (0, 0, 255)


def image(colour, size=(8, 8), kind="PNG"):
    """Return an image of one colour."""
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, kind)
    return file.getvalue()


def sigmoid(value):
    """Return how sure the model is of a number."""
    return 1 / (1 + np.exp(-value))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The tagger, in a folder."""
    return write_tagger(tmp_path_factory.mktemp("models") / "tagger", TAGS)


def tagged(model, tmp_path, images, options=WITH_ALL, **arguments):
    """Run the component over images."""
    table = pa.table({"image": pa.array(images, pa.binary())})
    more = {"max_reject_share": "1"}
    return run_component(
        COMPONENT, table, tmp_path, options=options | more, model_id=str(model), **arguments
    )


def test_tags_are_those_the_model_is_sure_of(model, tmp_path):
    """The surest first, with weights; faces keep their underscore; channels are B, G, R."""
    result = tagged(model, tmp_path, [image(RED), image(BLUE)])
    red, blue = result.table.to_pylist()
    assert red["tags"] == ["red thing", "Anna Karenina", "^_^"]
    assert red["tag_weights"] == pytest.approx([sigmoid(4), sigmoid(4), sigmoid(2)], abs=1e-6)
    assert (red["rating"], blue["rating"]) == ("general", "sensitive")
    assert blue["tags"] == ["blue thing"]
    about = result.manifest.fields["tags"].metadata
    assert about["model_id"] == "tagger"
    assert about["revision"].startswith("sha256:")
    assert about["thresholds"] == {"general": 0.35, "character": 0.85}


def test_images_lie_on_a_white_square(model, tmp_path):
    """Half of a square is white around a picture twice as wide as high; so is what is clear."""
    images = [image(RED, (16, 8)), image((255, 0, 0, 0)), image(RED, (400, 200), "JPEG")]
    result = tagged(model, tmp_path, images, thresholds={"general": 0.0})
    wide, clear, large = (
        dict(zip(row["tags"], row["tag_weights"], strict=True)) for row in result.table.to_pylist()
    )
    assert wide["blue thing"] == pytest.approx(sigmoid(8 * 0.5 - 4), abs=0.02)
    assert wide["red thing"] == pytest.approx(sigmoid(4), abs=1e-6)
    assert clear["blue thing"] == pytest.approx(sigmoid(4), abs=1e-6)
    assert large["blue thing"] == pytest.approx(wide["blue thing"], abs=0.02)


def test_the_picture_is_that_of_the_published_code(tmp_path):
    """Padded, then scaled by Pillow's bicubic filter, then turned to BGR: to the last bit."""
    tagger = load_module(COMPONENT, "tagger")
    made = tagger.Tagger(write_tagger(tmp_path, TAGS, side=56), len(TAGS))
    pixels = np.random.default_rng(1).integers(0, 255, (75, 130, 3), np.uint8)
    canvas = Image.new("RGB", (130, 130), "white")
    canvas.paste(Image.fromarray(pixels), (0, 27))
    wanted = np.asarray(canvas.resize((56, 56), Image.Resampling.BICUBIC))[:, :, ::-1]
    assert np.array_equal(made.square(pixels), wanted)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"thresholds": {"general": 0.9}}, ["red thing"]),
        ({"thresholds": {"character": 0.5}}, ["Anna Karenina"]),
        ({"thresholds": {"rating": 0.5, "general": 0.9}}, ["red thing", "general"]),
        ({"thresholds": {}}, []),
        ({"block": ["red thing", "anna_karenina"]}, ["^_^"]),
        (
            {"replace": {"red_thing": "something red", "^_^": " smile "}},
            ["something red", "Anna Karenina", "smile"],
        ),
        ({"replace": {"red_thing": "x", "Anna_Karenina": "x"}}, ["x", "^_^"]),
        ({"keep_underscores": True}, ["red_thing", "Anna_Karenina", "^_^"]),
    ],
)
def test_tags_are_chosen_and_written_as_wished(model, tmp_path, arguments, wanted):
    """By thresholds for each category, a list of what is blocked, and other words."""
    result = tagged(model, tmp_path, [image(RED)], **arguments)
    (row,) = result.table.to_pylist()
    assert row["tags"] == wanted
    assert len(row["tag_weights"]) == len(wanted)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("long_hair", "long hair"),
        ("hatsune_miku_(cosplay)", "hatsune miku (cosplay)"),
        ("v-shaped_eyebrows", "v-shaped eyebrows"),
        *(
            (face, face)
            for face in ("^_^", "0_0", "(o)_(o)", "+_-", "._.", "<|>_<|>", ">_o", "||_||", "T_T")
        ),
        ("x_y_z", "x y z"),
        ("初音_ミク", "初音 ミク"),
    ],
)
def test_faces_keep_their_mouths(name, written):
    """Words have spaces between them."""
    assert load_module(COMPONENT, "tag_choice").with_spaces(name) == written


@pytest.mark.parametrize("options", [{"batch": 1}, {"batch": 4}, {"side": None}])
def test_models_of_other_shapes(tmp_path, options):
    """A batch that is not open is filled up; a model for any size gets the usual one."""
    model = write_tagger(tmp_path / "tagger", TAGS, **options)
    images = [image(RED if number % 3 else BLUE) for number in range(11)]
    rows = tagged(model, tmp_path, images, batch_size=3).table.to_pylist()
    assert [row["tags"][0] for row in rows] == ["blue thing", "red thing", "red thing"] * 3 + [
        "blue thing",
        "red thing",
    ]


def test_rejects_and_order(model, tmp_path):
    """What is no image is a reject; the others keep their rows, whatever the batches."""
    whole = io.BytesIO()
    Image.effect_noise((96, 96), 80).convert("RGB").save(whole, "JPEG")
    cut = whole.getvalue()[: whole.tell() // 2]
    images = [image(RED), b"no image", None, image(BLUE), cut]
    result = tagged(model, tmp_path, images, batch_size=2)
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["0", "3"]
    assert result.rejects["reason"].to_pylist() == ["not_an_image", "empty", "truncated"]


def test_only_what_is_named_is_produced(model, tmp_path):
    """Tags alone by default."""
    result = tagged(model, tmp_path, [image(RED)], options={})
    assert result.table.column_names == ["id", "tags"]


def test_a_tagger_of_the_hub(tmp_path, monkeypatch):
    """Both files are fetched once, of one commit, which is told; then no connection is needed."""
    with hub_of(tmp_path, monkeypatch) as hub:
        write_tagger(hub.root, TAGS)
        first = tagged("owner/photos", tmp_path / "a", [image(RED)])
        assert first.manifest.fields["tags"].metadata["revision"] == COMMIT
        fetched = [path for path, _ in hub.requests if "/resolve/" in path]
        assert fetched[0].endswith("/resolve/main/selected_tags.csv")
        assert all(f"/resolve/{COMMIT}/" in path for path in fetched if path.endswith(".onnx"))
        sent = dict(hub.sent)
        tagged("owner/photos", tmp_path / "b", [image(RED)])
        assert hub.sent["model.onnx"] == sent["model.onnx"]
        (hub.root / "selected_tags.csv").unlink()
        with pytest.raises(InputDataError) as error:
            tagged("owner/photos", tmp_path / "c", [image(RED)], revision="v1")
        assert str(error.value) == "Model 'owner/photos' has no file selected_tags.csv."
        with pytest.raises(InputDataError, match="Model 'owner/none': the hub has no such model"):
            tagged("owner/none", tmp_path / "d", [image(RED)])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    tagged("owner/photos", tmp_path / "e", [image(RED)])


def without(name):
    """Return what removes a file of a tagger."""
    return lambda folder: (folder / name).unlink()


def lines(*rows):
    """Return what writes other tags beside the model."""

    def write(folder):
        with (folder / "selected_tags.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    return write


def network(**options):
    """Return what writes another network beside the tags."""
    return lambda folder: (folder / "model.onnx").write_bytes(tagger_bytes(TAGS, **options))


HEAD = ("tag_id", "name", "category", "count")


@pytest.mark.parametrize(
    ("change", "arguments", "why"),
    [
        (without("selected_tags.csv"), {}, "has no file selected_tags.csv."),
        (without("model.onnx"), {}, "has no file model.onnx."),
        (
            lines(HEAD, (1, "a", 0, 1), (2, "b", 4, 1)),
            {},
            "gives 6 numbers for an image, but the selected_tags.csv beside it has 2 tags;",
        ),
        (
            lines(HEAD, *[(1, "a", 7, 1)] * 6),
            {},
            "line 2: 'a' is of category '7'; known are 0 (general), 1 (artist)",
        ),
        (
            lines(("name",), *[("a",)] * 6),
            {},
            "line 2: needs the columns tag_id, name, category and count.",
        ),
        (lines(HEAD), {}, "has no tags."),
        (
            lambda folder: (folder / "selected_tags.csv").write_bytes(b"\xff\xfe\x00"),
            {},
            "cannot be read: ",
        ),
        (
            lambda folder: (folder / "model.onnx").write_bytes(b"onnx"),
            {},
            "model.onnx: cannot be read as a model: ",
        ),
        (network(channels_first=True), {}, "a tagger takes images of shape (n, side, side, 3)."),
        (network(sigmoid=False), {}, "a tagger gives how sure it is, from 0 to 1."),
        (
            None,
            {"thresholds": {"genral": 0.5}},
            "thresholds: no category 'genral'; did you mean 'general'?",
        ),
        (
            None,
            {"thresholds": {"meta": 0.5}},
            "the model has no tags of category 'meta'; it has character, general, rating.",
        ),
        (
            None,
            {"thresholds": {"general": 1.5}},
            "thresholds: general must be a number from 0 to 1, not 1.5.",
        ),
        (None, {"thresholds": {"general": "high"}}, "must be a number from 0 to 1, not 'high'."),
        (None, {"replace": {"a": " "}}, "replace: 'a' needs words; to leave it out, block it."),
        (None, {"block": [3]}, "block: a tag is a text, not 3."),
        (None, {"device": "cuda"}, "this build of onnxruntime has no CUDA"),
        (None, {"options": {"produces": '{"weights": "string"}'}}, "no field 'weights'"),
        (
            None,
            {"options": {"produces": '{"rating": "float32"}'}},
            "rating is of type string, not float",
        ),
    ],
)
def test_what_is_refused(tmp_path, change, arguments, why):
    """A sentence each says where, what, and what to do."""
    folder = write_tagger(tmp_path / "tagger", TAGS)
    if change is not None:
        change(folder)
    with pytest.raises(FondantError) as error:
        tagged(folder, tmp_path, [image(RED)], **arguments)
    assert why in str(error.value)


def test_a_folder_that_is_not_there(tmp_path):
    """It is not looked for on the hub."""
    with pytest.raises(InputDataError, match="there is no such folder"):
        tagged(tmp_path / "none", tmp_path, [image(RED)])


def test_names_that_the_model_does_not_know_are_told(model, tmp_path, caplog):
    """They may be meant for another model; or they are a slip."""
    with caplog.at_level(logging.WARNING):
        tagged(model, tmp_path, [image(RED)], block=["red_thong"], replace={"nothing": "x"})
    told = [record.getMessage() for record in caplog.records]
    assert "block: the model knows no tag 'red_thong'; did you mean 'red_thing'?" in told
    assert any(line.startswith("replace: the model knows no tag 'nothing'") for line in told)
