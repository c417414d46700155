"""Measuring images through the component's argument vector, held against cleanvision and torch."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from cleanvision.issue_managers.image_property import (
    BlurrinessProperty,
    calc_aspect_ratio,
    calc_avg_brightness,
)
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from safetensors.torch import save_file
from skimage import data

from fondant_spec.component import SetupContext
from fondant_spec.cpu import cpu_count
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import component_class, load_module
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.rendering import phash
from tests.hub_server import hub_of

FOLDER = Path(__file__).parents[1]
SETTINGS = load_module(FOLDER, "vector_scores").VectorSettings
CLIP = str(FOLDER.parents[1] / "demo" / "models" / "clip")
TYPES = {
    "class": "string",
    "is_grayscale": "bool",
    "phash": "string",
    "inner_phash": "string",
    "mirrored_phash": "string",
    "sha256": "string",
}


def encoded(image: Image.Image) -> bytes:
    """Return an image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def photos() -> dict[str, Image.Image]:
    """Return photographs, and what is none."""
    astronaut = Image.fromarray(data.astronaut())
    chart = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(chart).rectangle((50, 50, 150, 250), fill="red")
    return {
        "astronaut": astronaut,
        "blurred": astronaut.filter(ImageFilter.GaussianBlur(20)),
        "dark": Image.fromarray((data.chelsea() * 0.1).astype(np.uint8)),
        "coffee": Image.fromarray(data.coffee()),
        "camera": Image.fromarray(data.camera()).convert("RGB"),
        "chart": chart,
    }


def run(
    tmp_path: Path, columns: dict[str, object], names: list[str], **arguments: object
) -> Result:
    """Run the component, to produce some measures."""
    produces = json.dumps({name: TYPES.get(name, "float32") for name in names})
    options = {"produces": produces, "max_reject_share": "1.0"}
    options |= arguments.pop("options", {})
    return run_component(FOLDER, pa.table(columns), tmp_path, options=options, **arguments)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The cheap measures of all photographs, by their names."""
    names = ["blur", "brightness", "contrast", "colourfulness", "is_grayscale", "flatness"]
    names += ["aspect_ratio", "phash", "sha256"]
    images = photos()
    files = [encoded(image) for image in images.values()]
    result = run(tmp_path_factory.mktemp("scores"), {"image": files}, names)
    assert result.table.column_names == ["id", *names]
    return dict(zip(images, result.table.to_pylist(), strict=True))


def test_measures_that_are_cleanvisions(measured):
    """Blur, brightness and aspect ratio are the same, to within another way of scaling down."""
    for name, image in photos().items():
        own = measured[name]
        theirs = BlurrinessProperty().calculate(image)
        edges = 1 - np.exp(-0.01 * theirs["blurriness"])
        shades = 1 - np.exp(-0.01 * theirs["blurriness_grayscale_std"])
        blur = min(edges + (shades if shades > 0.18 else 0), 1)
        assert own["blur"] == pytest.approx(blur, abs=0.04), name
        assert own["brightness"] == pytest.approx(calc_avg_brightness(image), abs=0.005), name
        assert own["aspect_ratio"] == pytest.approx(calc_aspect_ratio(image)), name


def test_what_measures_tell_apart(measured):
    """A blurred image from a sharp one, a dark one, a grey one, a chart."""
    assert measured["blurred"]["blur"] < measured["astronaut"]["blur"]
    assert measured["dark"]["brightness"] < 0.1 < measured["coffee"]["brightness"]
    assert measured["dark"]["contrast"] < measured["camera"]["contrast"]
    assert [name for name in measured if measured[name]["is_grayscale"]] == ["camera"]
    assert measured["camera"]["colourfulness"] == 0
    assert measured["coffee"]["colourfulness"] > 10
    assert measured["coffee"]["flatness"] < 0.5
    assert measured["chart"]["flatness"] > 0.9


def test_hashes_are_those_of_the_downloader(measured):
    """So that rows from anywhere can be compared."""
    file = encoded(photos()["coffee"])
    assert measured["coffee"]["phash"] == phash(decode_pixels(file))
    assert len(measured["coffee"]["sha256"]) == 64


@pytest.mark.parametrize("colour", ["white", "black", (200, 30, 30)])
def test_a_border_does_not_count(tmp_path, colour):
    """A frame leaves the inner hash as it is; an even picture has one all the same."""
    plain = Image.fromarray(data.coffee())
    framed = ImageOps.expand(plain, (30, 50), colour)
    file = io.BytesIO()
    framed.save(file, "JPEG", quality=75)
    files = [encoded(plain), file.getvalue(), encoded(Image.new("RGB", (40, 30), colour))]
    made = run(tmp_path, {"image": files}, ["phash", "inner_phash"]).table
    inner = [int(text, 16) for text in made["inner_phash"].to_pylist()]
    assert made["phash"][0] == made["inner_phash"][0]
    assert (inner[0] ^ inner[1]).bit_count() <= 4
    assert (inner[0] ^ int(made["phash"][1].as_py(), 16)).bit_count() > 10


def test_a_mirrored_copy_has_the_hash_of_its_mirror(tmp_path):
    """The one's hash is the other's mirrored one, whatever the picture's size."""
    plain = Image.fromarray(data.coffee())
    small = ImageOps.mirror(plain).resize((301, 200))
    files = [encoded(plain), encoded(small)]
    made = run(tmp_path, {"image": files}, ["phash", "mirrored_phash"]).table.to_pylist()
    one, other = made
    for hashes in (
        (one["phash"], other["mirrored_phash"]),
        (one["mirrored_phash"], other["phash"]),
    ):
        assert (int(hashes[0], 16) ^ int(hashes[1], 16)).bit_count() <= 4
    assert (int(one["phash"], 16) ^ int(other["phash"], 16)).bit_count() > 10


def test_borders_are_measured(tmp_path):
    """One inside of the other; an even picture is border as far as a border can reach."""
    plain = Image.fromarray(data.coffee())
    width, height = plain.size
    framed = ImageOps.expand(ImageOps.expand(plain, 20, "black"), 10, "white")
    files = [encoded(plain), encoded(framed), encoded(Image.new("RGB", (40, 30)))]
    made = run(tmp_path, {"image": files}, ["border"]).table["border"].to_pylist()
    whole = (width + 60) * (height + 60)
    assert made == [0, pytest.approx(1 - width * height / whole, abs=0.001), 0]


def test_colourfulness_is_the_published_formula(tmp_path):
    """Hasler and Suesstrunk, 2003, written out, of an image that is not scaled."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    red, green, blue = pixels.astype(float).transpose(2, 0, 1)
    one, two = red - green, (red + green) / 2 - blue
    expected = np.sqrt(one.var() + two.var()) + 0.3 * np.sqrt(one.mean() ** 2 + two.mean() ** 2)
    file = encoded(Image.fromarray(pixels))
    made = run(tmp_path, {"image": [file]}, ["colourfulness"]).table
    assert made["colourfulness"][0].as_py() == pytest.approx(expected, rel=1e-4)


def test_text_is_found(tmp_path):
    """A watermark covers a few percent; a photograph without one nothing."""
    plain = Image.fromarray(data.coffee())
    marked = plain.copy()
    ImageDraw.Draw(marked).text((100, 180), "SAMPLE PHOTO", fill="white", font_size=48)
    made = run(tmp_path, {"image": [encoded(plain), encoded(marked)]}, ["text_area"]).table
    without, with_text = made["text_area"].to_pylist()
    assert without == 0
    assert 0.02 < with_text < 0.15


def test_slow_measures_are_told_of_as_they_come(tmp_path):
    """Where an image takes long, few are a batch: none counts, or is kept, before all of it is."""
    rows = {}
    for name in ("blur", "text_area"):
        context = SetupContext(
            input_fields={},
            output_fields=frozenset({name}),
            output_types={name: pa.float32()},
            dataset_fields={},
            output_directory=str(tmp_path),
            unfinished_directory=str(tmp_path),
            cache_key="0" * 16,
        )
        component = component_class(FOLDER)(settings=SETTINGS())
        component.setup(context)
        rows[name] = component.batch_rows
        component.teardown()
    assert rows == {"blur": 256, "text_area": min(256, 8 * cpu_count())}


def test_bytes_that_are_no_image(tmp_path):
    """They are rejects with their reason; the others are measured."""
    files = [b"no image", None, encoded(Image.new("RGB", (4, 3)))]
    result = run(tmp_path, {"image": pa.array(files, pa.binary())}, ["aspect_ratio", "flatness"])
    assert result.table["aspect_ratio"].to_pylist() == [0.75]
    assert result.rejects["reason"].to_pylist() == ["not_an_image", "empty"]


def aesthetic_weights(width: int = 48) -> dict[str, torch.Tensor]:
    """Return made-up weights in the layout of the aesthetic predictor."""
    sizes = [width, 1024, 128, 64, 16, 1]
    layers = zip([0, 2, 4, 6, 7], sizes[:-1], sizes[1:], strict=True)
    torch.manual_seed(0)
    weights = {}
    for number, inside, out in layers:
        weights[f"layers.{number}.weight"] = torch.randn(out, inside) / inside**0.5
        weights[f"layers.{number}.bias"] = torch.randn(out)
    return weights


def unsafe_weights(width: int = 48) -> dict[str, torch.Tensor]:
    """Return made-up weights in the layout of the NSFW detector."""
    sizes = [width, 64, 512, 256, 1]
    torch.manual_seed(1)
    weights = {"norm.mean": torch.randn(width), "norm.variance": torch.rand(width) + 0.1}
    for number in range(1, 5):
        inside, out = sizes[number - 1 : number + 1]
        weights[f"linear_{number}.weight"] = torch.randn(out, inside) / inside**0.5
        weights[f"linear_{number}.bias"] = torch.randn(out)
    return weights


def by_torch(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both scores of vectors as torch computes them from the published layouts."""
    weights = aesthetic_weights()
    pretty = torch.nn.Sequential(
        *(
            layer
            for out, inside in [(1024, 48), (128, 1024), (64, 128)]
            for layer in (torch.nn.Linear(inside, out), torch.nn.Dropout())
        ),
        torch.nn.Linear(64, 16),
        torch.nn.Linear(16, 1),
    )
    pretty.load_state_dict({key.removeprefix("layers."): w for key, w in weights.items()})
    weights = unsafe_weights()
    values = (vectors - weights["norm.mean"]) / weights["norm.variance"].sqrt()
    for number in range(1, 5):
        linear = weights[f"linear_{number}.weight"], weights[f"linear_{number}.bias"]
        values = torch.nn.functional.linear(values, *linear)
        values = values.relu() if number < 4 else values.sigmoid()
    return pretty.eval()(vectors)[:, 0], values[:, 0]


VECTORS = torch.nn.functional.normalize(torch.randn(5, 48, generator=torch.manual_seed(3)))
MADE_BY = {"embedding": {"model_id": CLIP, "modality": "image", "dimension": 48, "revision": "r"}}


def given_vectors() -> dict[str, object]:
    """Return rows whose vectors are of the model; the images, if read, would be rejected."""
    lists = pa.array((VECTORS * 3).tolist(), pa.list_(pa.float32()))
    return {"image": [b"never decoded"] * 5, "embedding": lists}


def test_heads_on_given_vectors(tmp_path):
    """LAION's layouts give what torch gives, of vectors that are brought to length 1 first."""
    save_file(aesthetic_weights(), tmp_path / "pretty.safetensors")
    torch.save(unsafe_weights(), tmp_path / "unsafe.pth")
    made = run(
        tmp_path,
        given_vectors(),
        ["aesthetic_score", "unsafe_score"],
        metadata=MADE_BY,
        clip_model_id=CLIP,
        aesthetic_head=str(tmp_path / "pretty.safetensors"),
        unsafe_head=str(tmp_path / "unsafe.pth"),
    ).table
    pretty, unsafe = by_torch(VECTORS)
    assert made["aesthetic_score"].to_pylist() == pytest.approx(pretty.tolist(), rel=1e-4, abs=1e-5)
    assert made["unsafe_score"].to_pylist() == pytest.approx(unsafe.tolist(), rel=1e-4, abs=1e-5)


def test_a_head_of_the_hub(tmp_path, monkeypatch):
    """It is fetched by its name; what is not there, and what is no name, is told."""
    with hub_of(tmp_path, monkeypatch) as hub:
        (hub.root / "heads").mkdir()
        save_file(aesthetic_weights(), hub.root / "heads" / "pretty.safetensors")

        def scored(location: str, folder: str) -> list[float]:
            return (
                run(
                    tmp_path / folder,
                    given_vectors(),
                    ["aesthetic_score"],
                    metadata=MADE_BY,
                    clip_model_id=CLIP,
                    aesthetic_head=location,
                )
                .table["aesthetic_score"]
                .to_pylist()
            )

        pretty, _ = by_torch(VECTORS)
        found = scored("hf://owner/photos/heads/pretty.safetensors", "a")
        assert found == pytest.approx(pretty.tolist(), rel=1e-4, abs=1e-5)
        for location, why in {
            "hf://owner/photos/other.pth": "Model 'owner/photos' has no file other.pth.",
            "hf://owner/none@v1/a.pth": "the hub has no such model",
            "hf://pretty.pth": "name a file of the hub as hf://OWNER/NAME/FILE.",
        }.items():
            with pytest.raises(InputDataError, match=why):
                scored(location, "b")


@pytest.mark.parametrize(
    ("weights", "name", "message"),
    [
        (aesthetic_weights(768), "aesthetic_head", "takes vectors of 768 dimensions"),
        (unsafe_weights(), "aesthetic_head", "are not those of aesthetic_score"),
        (aesthetic_weights(), "unsafe_head", "are not those of unsafe_score"),
        ({"encoder.weight": torch.ones(1, 48)}, "aesthetic_head", "no layout of LAION's"),
        ({"weight": torch.ones(2, 48), "bias": torch.ones(2)}, "aesthetic_head", "2 numbers"),
    ],
)
def test_heads_that_do_not_fit(tmp_path, weights, name, message):
    """Weights for another model, another score, or of another layout are refused."""
    save_file(weights, tmp_path / "head.safetensors")
    arguments = {name: str(tmp_path / "head.safetensors"), "clip_model_id": CLIP}
    score = name.replace("head", "score")
    with pytest.raises(InputDataError, match=message):
        run(tmp_path, given_vectors(), [score], metadata=MADE_BY, **arguments)


def test_a_head_that_is_a_program(tmp_path):
    """A pickle that would run something is refused, and does not run it."""
    torch.save({"weight": print}, tmp_path / "head.pth")
    with pytest.raises(InputDataError, match="cannot be read"):
        run(
            tmp_path,
            given_vectors(),
            ["aesthetic_score"],
            metadata=MADE_BY,
            clip_model_id=CLIP,
            aesthetic_head=str(tmp_path / "head.pth"),
        )


def test_classes_and_captions_by_clip(tmp_path):
    """With the demo's CLIP, which knows these pictures: what they show, and which caption fits."""
    images = [encoded(Image.fromarray(data.chelsea())), encoded(Image.fromarray(data.coffee()))]
    made = run(
        tmp_path,
        {"image": images * 2, "caption": ["a cat", "a cup of coffee", "a cup of coffee", None]},
        ["class", "class_score", "clip_score", "brightness"],
        clip_model_id=CLIP,
        labels=["a cat", "a cup of coffee", "a rocket"],
        label_prompt="{}",
    )
    table = made.table
    assert table["class"].to_pylist() == ["a cat", "a cup of coffee"] * 2
    right, other, wrong, none = table["clip_score"].to_pylist()
    assert right > wrong
    assert other > wrong
    assert none is None
    assert min(table["class_score"].to_pylist()) > 1 / 3
    assert made.manifest.fields["class"].metadata["clip_model_id"] == CLIP


@pytest.mark.parametrize(
    ("names", "arguments", "error", "message"),
    [
        (["blurr"], {}, InvalidArgumentError, "no measure 'blurr'; did you mean 'blur'"),
        ([], {}, InvalidArgumentError, "name what it is to produce"),
        (["aesthetic_score"], {}, InvalidArgumentError, "needs the argument aesthetic_head"),
        (["class"], {"labels": ["one"]}, InvalidArgumentError, "two labels or more"),
        (["clip_score"], {}, InputDataError, "needs the field 'caption'"),
    ],
)
def test_what_it_cannot_do(tmp_path, names, arguments, error, message):
    """It is said before any image is read."""
    with pytest.raises(error, match=message):
        run(tmp_path, {"image": [b""]}, names, clip_model_id=CLIP, **arguments)


def test_a_type_that_a_measure_has_not(tmp_path):
    """A score that was cast to whole numbers would be nought."""
    options = {"produces": '{"blur": "int32"}'}
    with pytest.raises(InvalidArgumentError, match="blur is of type float, not int32"):
        run(tmp_path, {"image": [b""]}, ["blur"], options=options)
