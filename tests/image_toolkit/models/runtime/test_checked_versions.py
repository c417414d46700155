"""Private parts are used with the versions they are known of; elsewhere models run plainly."""

import gc
import logging
import tomllib
from pathlib import Path
from weakref import ref

import pytest
import torch
import transformers
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from torch import nn
from torch.nn.functional import normalize
from transformers import AutoModel, AutoModelForImageTextToText

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.decoding.token_step import Step
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.cpu import first_token
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.runtime import checked_versions, device
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.checked_versions import (
    CHECKED,
    private_parts_usable,
    with_private_parts,
)
from image_toolkit.models.runtime.device import Placement, place
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.model_runner import start_runners
from image_toolkit.models.runtime.processors import load_processor
from tests.tiny_models import NEEDS_BF16

ROOT = Path(__file__).parents[4]
CPU = torch.device("cpu")
EXACT = Placement(CPU, "fp32")
SHORT = Generation(max_new_tokens=8, min_new_tokens=4, num_beams=3)
NEWER = {"torch": SpecifierSet(">=1"), "transformers": SpecifierSet(">=99,<100")}


@pytest.fixture(autouse=True)
def forgotten():
    """Let each test find out anew what may be used, and the next one too."""
    checked_versions._unchecked.cache_clear()
    checked_versions._known_to_fail.clear()
    yield
    checked_versions._unchecked.cache_clear()
    checked_versions._known_to_fail.clear()


@pytest.fixture
def unchecked(monkeypatch):
    """Have a version of transformers installed that was not checked."""
    monkeypatch.setattr(checked_versions, "CHECKED", NEWER)


def lower_bound(versions):
    """Return the least version that a set of versions allows."""
    (least,) = (one.version for one in versions if one.operator == ">=")
    return least


def embed(folder):
    """Return an encoder's runner, and the vectors it gives of its probes."""
    (runner,) = start_runners(
        lambda: image_encoder(str(folder)), [EXACT], "torch", lambda: BatchSize(8)
    )
    return runner, torch.from_numpy(runner.vectors(runner.encoder.probes()))


def plain_vectors(folder, encoder):
    """Return the vectors of the plain model for the probes of an encoder."""
    images = [encoder.prepare.normalised(pixels) for pixels in encoder.probes()]
    pixels = torch.stack([torch.from_numpy(image.copy()) for image in images])
    with torch.inference_mode():
        made = AutoModel.from_pretrained(folder).eval().get_image_features(pixel_values=pixels)
    return normalize(made.pooler_output, dim=-1)


def caption(folder, photos, precision="fp32"):
    """Return a captioner as a step starts it, and its captions."""
    models = CaptionModels(model_id=str(folder), precision=precision, device="cpu")
    captioning = models.start([Ask(SHORT)], Choice(), Frame(), [])
    captioning.close()
    model = captioning._writers[0].captioner
    items = [model.prepare(photo) for photo in photos]
    return model, model.captions(items, list("abcdef"), SHORT)


def plain_captions(folder, model, photos, dtype=torch.float32):
    """Return the captions of the plain model."""
    inputs = model._intake.arrived(model._intake.collate([model.prepare(one) for one in photos]))
    inputs = {**inputs, "pixel_values": inputs["pixel_values"].to(dtype)}
    plain = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()
    with torch.inference_mode():
        tokens = plain.generate(**inputs, **SHORT.arguments(list("abcdef")))
    return [[text] for text in model._intake.texts(tokens)]


def kinds(model):
    """Return the names of the modules that a model is made of."""
    return {type(module).__name__ for module in model.modules()}


def is_stood_in_for(model):
    """Return whether something in a model has a forward that is not its class's own."""
    return any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("name", list(CHECKED))
def test_the_bounds_are_those_of_the_package(name):
    """Where an installation starts is where the tests were run, whatever needs the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [one for extra in extras for one in map(Requirement, extra) if one.name == name]
    assert {lower_bound(one.specifier) for one in asked} == {lower_bound(CHECKED[name])}


def test_these_versions_are_checked(caplog):
    """The tests of the private parts run with versions that these are known of."""
    assert private_parts_usable()
    assert not caplog.records


@pytest.mark.parametrize(
    ("installed", "usable"),
    [
        ("5.17.9", False),
        ("5.18.0", True),
        ("5.24.3", True),
        ("5.24.0.dev0", True),
        ("5.25.0", False),
        ("5.25.0.dev0", False),
        ("6.0.0", False),
    ],
)
def test_the_range(installed, usable, monkeypatch):
    """Releases within it count, and builds before its end."""
    monkeypatch.setattr(checked_versions, "CHECKED", {"transformers": CHECKED["transformers"]})
    monkeypatch.setattr(checked_versions, "version", lambda _: installed)
    assert private_parts_usable() is usable


@pytest.mark.usefixtures("unchecked")
def test_other_versions_run_plainly(tiny, photos, caplog):
    """Vectors and captions are those of the plain models, made by nothing else, said once."""
    runner, vectors = embed(tiny("clip"))
    model, captions = caption(tiny("blip"), photos)
    for plain in (runner.encoder.tower, model._model):
        assert not is_stood_in_for(plain)
        assert not kinds(plain) & {"PackedLinear", "QuantisedLinear", "PackedPatches"}
    torch.testing.assert_close(vectors, plain_vectors(tiny("clip"), runner.encoder))
    assert captions == plain_captions(tiny("blip"), model, photos)
    (record,) = (one for one in caplog.records if one.levelno >= logging.WARNING)
    version = checked_versions.version("transformers")
    assert record.getMessage() == (
        f"Not checked with transformers {version} (checked: <100,>=99): {checked_versions.COST}."
    )


@pytest.mark.usefixtures("unchecked")
def test_other_versions_run_in_bf16(tiny, photos):
    """A lower precision that was asked for is that of the plain model."""
    model = LocalCaptioner(find_model(str(tiny("blip"))), Placement(CPU, "bf16"), None)
    assert {weight.dtype for weight in model._model.parameters()} == {torch.bfloat16}
    captions = model.captions([model.prepare(photos[0])], ["a"], SHORT)
    assert captions[0][0]


@pytest.mark.usefixtures("unchecked")
def test_other_versions_have_no_int8(monkeypatch):
    """Plain layers are not of bytes, so int8 is refused and not recorded for them."""
    monkeypatch.setattr(device, "_multiplies_bytes", lambda _: True)
    with pytest.raises(InvalidArgumentError, match=r"^precision: int8 does not run with torch 2"):
        place(CPU, "int8")


@pytest.mark.usefixtures("unchecked")
def test_other_versions_need_torchvision_for_videos(tiny, monkeypatch):
    """A processor that reads videos too is not taken apart; what is missing is told."""

    def lacking(*_, **__):
        msg = "AutoVideoProcessor requires the Torchvision library"
        raise ImportError(msg)

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lacking)
    files = find_model(str(tiny("qwen2.5-vl")))
    config = AutoModelForImageTextToText.from_pretrained(tiny("qwen2.5-vl")).config
    with pytest.raises(ImportError, match="requires the Torchvision library"):
        load_processor(files, config)


def missing(_module):
    """Stand in for a part that another version has no more."""
    msg = "'CLIPVisionModel' object has no attribute 'encoder'"
    raise AttributeError(msg)


def other_arguments(self, hidden_states):  # noqa: ARG001
    """Stand in for a part that takes other arguments by now."""
    return hidden_states


def unrelated(_self, _attention, _queries, values, *_):
    """Stand in for keys that are read from somewhere else by now."""
    return values.roll(1, -1)


def other_meaning(_self, hidden_states, *_, **__):
    """Stand in for a part that does something else by now."""
    return hidden_states


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("only_first_token", missing),
        ("_last_layer", other_arguments),
        ("_last_layer", other_meaning),
    ],
)
def test_a_part_that_changes_costs_no_vectors(name, part, tiny, caplog, monkeypatch):
    """Where a private part fails within the range, the model is made anew without."""
    monkeypatch.setattr(first_token, name, part)
    runner, vectors = embed(tiny("clip"))
    torch.testing.assert_close(vectors, plain_vectors(tiny("clip"), runner.encoder))
    assert not is_stood_in_for(runner.encoder.tower)
    assert not private_parts_usable()
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert told[-1].startswith(f"With {checked_versions.installed()}, models run ")


@pytest.mark.parametrize(
    ("where", "part"),
    [
        ("captioning.decoding.token_step.Step._attend", other_arguments),
        ("captioning.decoding.token_step.Step._attend", unrelated),
        ("cpu.fast_cpu.PackedPatches", lambda *_: nn.Identity()),
    ],
)
def test_a_part_that_changes_costs_no_captions(where, part, tiny, photos, caplog, monkeypatch):
    """It is found before the first row, and captions are made without it."""
    monkeypatch.setattr(f"image_toolkit.models.{where}", part)
    model, captions = caption(tiny("blip"), photos)
    assert captions == plain_captions(tiny("blip"), model, photos)
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


@NEEDS_BF16
def test_wrong_captions_are_found_where_they_are_compared(tiny, photos, caplog, monkeypatch):
    """What runs and gives something else is told by fp32 without private parts."""
    monkeypatch.setattr(Step, "_attend", unrelated)
    model, captions = caption(tiny("blip"), photos, "bf16")
    assert not private_parts_usable()
    assert "cpu bf16 strays from fp32: cosine of logits" in caplog.text
    assert captions == plain_captions(tiny("blip"), model, photos, torch.bfloat16)


def test_private_parts_are_not_blamed_for_all():
    """An error that comes without them too is that error, and they stay in use."""
    tries = []

    def make():
        tries.append(private_parts_usable())
        raise KeyError(len(tries))

    with pytest.raises(KeyError, match="2"):
        with_private_parts(make)
    assert tries == [True, False]
    assert private_parts_usable()


@pytest.mark.parametrize("error", [InputDataError("no such model"), MemoryError("out of memory")])
def test_what_is_told_otherwise_is_raised_at_once(error):
    """What a user can fix, and want of memory, have nothing to do with private parts."""
    tries = []

    def make():
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        with_private_parts(make)
    assert tries == [1]
    assert private_parts_usable()


def test_one_model_is_held_at_a_time():
    """What failed is let go before the plain one is made."""

    class Failing:
        pass

    held = []

    def make():
        gc.collect()
        assert not any(one() for one in held)
        own = Failing()
        held.append(ref(own))
        if len(held) == 1:
            raise AttributeError(own)
        return own

    assert isinstance(with_private_parts(make), Failing)
    assert len(held) == 2


def test_what_leans_on_one_package_minds_its_version_alone(monkeypatch):
    """Parts of transformers are used with a torch that was not checked."""
    monkeypatch.setattr(checked_versions, "CHECKED", CHECKED | {"torch": SpecifierSet(">=99")})
    assert private_parts_usable("transformers")
    assert not private_parts_usable("torch")
    assert not private_parts_usable()
