"""Images of prompts by tiny pipelines of the real classes, through the component."""

import functools
import io
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusionPipeline
from PIL import Image

from fondant_spec.errors import FondantError
from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import load_module
from image_toolkit.diffusion.pipeline_files import find_pipeline
from image_toolkit.diffusion.pretrained import load_pipeline
from tests.tiny_diffusion import (
    SIDE,
    make_stable_diffusion,
    make_stable_diffusion_xl,
    save_kohya_lora,
    save_lora,
)

COMPONENT = Path(__file__).parents[1]
PROMPTS = ["a red cat", "a blue dog", "a photo of a cat", "a drawing", "two dogs"]
GRID = {"produces": json.dumps({"generated_grid": {"type": "array", "items": {"type": "binary"}}})}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with two models of one kind, an SDXL, and a LoRA for the first."""
    folder = tmp_path_factory.mktemp("models")
    make_stable_diffusion(folder / "base")
    make_stable_diffusion(folder / "other", seed=1)
    make_stable_diffusion_xl(folder / "xl")
    save_lora(folder / "base", folder / "lora")
    return folder


def drawn(model, tmp_path, prompts=PROMPTS, *, options=None, rows_per_partition=99, **arguments):
    """Run the component over prompts, which may be a table."""
    table = prompts if isinstance(prompts, pa.Table) else pa.table({"caption": prompts})
    given = {"num_inference_steps": [3], "device": "cpu"} | arguments
    return run_component(
        COMPONENT,
        table,
        tmp_path,
        options={"max_reject_share": "1"} | (options or {}),
        rows_per_partition=rows_per_partition,
        model_id=None if model is None else str(model),
        **given,
    )


def pixels(png):
    """Return the pixels of an image as numbers."""
    return np.asarray(Image.open(io.BytesIO(png)), np.int16)


def images(result):
    """Return the pixels of each row's image, by its id."""
    return {row["id"]: pixels(row["generated_image"]) for row in result.table.to_pylist()}


def furthest(first, second):
    """Return by how much the pixels of two results differ at most."""
    assert first.keys() == second.keys()
    return max(np.abs(first[row] - second[row]).max() for row in first)


def by_diffusers(model, lora=None, **options):
    """Return what diffusers draws of the prompts, from the same noise."""
    generator_for = load_module(COMPONENT, "painter").generator_for
    pipeline = load_pipeline(find_pipeline(str(model)))
    if lora is not None:
        pipeline.load_lora_weights(str(lora))
    made = {}
    for number, prompt in enumerate(PROMPTS):
        row = f"{number:012d}"
        given = {"num_inference_steps": 3, "guidance_scale": 7.5, **options}
        given["generator"] = generator_for(0, row)
        made[row] = np.asarray(pipeline(prompt, **given).images[0], np.int16)
    return made


@pytest.fixture(scope="module")
def plainly(models, tmp_path_factory):
    """What either kind of model draws of the prompts with nothing asked for."""
    folder = tmp_path_factory.mktemp("plain")
    return {kind: images(drawn(models / kind, folder / kind)) for kind in ("base", "xl")}


@pytest.mark.parametrize("kind", ["base", "xl"])
def test_images_are_those_of_diffusers(models, tmp_path, kind):
    """PNG files of the model's size without metadata, of the very pixels."""
    result = drawn(models / kind, tmp_path)
    for row in result.table.to_pylist():
        image = Image.open(io.BytesIO(row["generated_image"]))
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SIDE, SIDE))
        assert image.info == {}
    assert furthest(images(result), by_diffusers(models / kind)) <= 1
    about = result.manifest.fields["generated_image"].metadata
    assert about["revision"].startswith("sha256:")
    del about["revision"]
    assert about == {
        "model_id": kind,
        "guidance_scale": [7.5],
        "num_inference_steps": [3],
        "height": SIDE,
        "width": SIDE,
        "seed": 0,
        "scheduler": "PNDMScheduler",
        "precision": "fp32",
    }


@pytest.mark.parametrize("place", ["lora", "lora/pytorch_lora_weights.safetensors", "kohya"])
def test_a_lora_on_top(models, plainly, tmp_path, place):
    """In either layout, what diffusers draws with it; at scale 0 it is as if it were not there."""
    kohya = models / "kohya"
    if not kohya.exists():
        save_kohya_lora(models / "lora", kohya)
    plain = plainly["base"]
    result = drawn(models / "base", tmp_path / "b", lora=str(models / place))
    changed = images(result)
    assert furthest(plain, changed) > 10
    assert furthest(changed, by_diffusers(models / "base", models / "lora")) <= 1
    about = result.manifest.fields["generated_image"].metadata["lora"]
    assert about["digest"].startswith("sha256:")
    assert (about["scale"], about["revision"]) == (1.0, None)
    off = drawn(models / "base", tmp_path / "c", lora=str(models / place), lora_scale=0.0)
    assert furthest(plain, images(off)) <= 1


@pytest.mark.parametrize(
    ("kind", "scheduler"), [("base", None), ("base", "euler_ancestral"), ("xl", "dpmpp_2m")]
)
def test_an_image_does_not_depend_on_its_batch(models, tmp_path, kind, scheduler):
    """Nor on the order of rows, or their partitions: to within one level of 255."""
    settings = {"scheduler": scheduler, "num_inference_steps": [8]}
    alone = images(drawn(models / kind, tmp_path / "a", batch_size=1, **settings))
    together = images(drawn(models / kind, tmp_path / "b", batch_size=5, **settings))
    ids = [f"{number:012d}" for number in reversed(range(5))]
    turned = pa.table({"id": ids, "caption": PROMPTS[::-1]})
    mixed = drawn(
        models / kind, tmp_path / "c", turned, rows_per_partition=3, batch_size=2, **settings
    )
    assert furthest(alone, together) <= 1
    assert furthest(alone, images(mixed)) <= 1
    first, second = (alone[row] for row in ids[:2])
    assert np.abs(first - second).max() > 50


def test_each_row_has_noise_of_its_own(models, tmp_path):
    """Rows of one prompt differ, and so do seeds; what is drawn twice is the same to the byte."""
    first = drawn(models / "base", tmp_path / "a", ["a cat"] * 3)
    shown = first.table.column("generated_image").to_pylist()
    assert len(set(shown)) == 3
    again = drawn(models / "base", tmp_path / "b", ["a cat"] * 3)
    assert again.table.column("generated_image").to_pylist() == shown
    other = drawn(models / "base", tmp_path / "c", ["a cat"] * 3, seed=1)
    assert not {*other.table.column("generated_image").to_pylist()} & {*shown}


def test_models_begin_from_the_same_noise(models, tmp_path, monkeypatch):
    """Whatever the model, and whatever else is drawn: a row's latents are its own."""
    prepare, seen = StableDiffusionPipeline.prepare_latents, []

    def noted(self, *arguments, **options):
        seen.append(prepare(self, *arguments, **options))
        return seen[-1]

    monkeypatch.setattr(StableDiffusionPipeline, "prepare_latents", noted)
    drawn(models / "base", tmp_path / "a", batch_size=5)
    drawn(models / "other", tmp_path / "b", batch_size=2, prefix="a photo of")
    assert torch.equal(seen[0], torch.cat(seen[1:]))


def test_a_grid(models, tmp_path):
    """Steps outside, guidance inside; the first cell is the image, and each that of its pair."""
    lists = {"num_inference_steps": [2.0, 4], "guidance_scale": [1.0, 5, 9.5]}
    result = drawn(models / "base", tmp_path / "a", PROMPTS[:2], options=GRID, **lists)
    for row in result.table.to_pylist():
        assert len(row["generated_grid"]) == len(set(row["generated_grid"])) == 6
        assert row["generated_grid"][0] == row["generated_image"]
    about = result.manifest.fields["generated_grid"].metadata
    assert (about["num_inference_steps"], about["guidance_scale"]) == ([2, 4], [1.0, 5, 9.5])
    pair = {"num_inference_steps": [4], "guidance_scale": [5.0]}
    one = images(drawn(models / "base", tmp_path / "b", PROMPTS[:2], **pair))
    cells = {row["id"]: pixels(row["generated_grid"][4]) for row in result.table.to_pylist()}
    assert furthest(one, cells) <= 1


def test_without_the_grid_one_pair_is_drawn(models, plainly, tmp_path, caplog):
    """The first; and that is told."""
    result = drawn(models / "base", tmp_path / "a", num_inference_steps=[3, 50])
    assert result.table.column_names == ["id", "generated_image"]
    assert "Of 2 pairs of steps and guidance scale only the first is drawn" in caplog.text
    assert furthest(images(result), plainly["base"]) <= 1


def test_rows_of_one_split(models, tmp_path):
    """The others come out with null, in their places; their prompts are of no account."""
    splits = ["validation", "train", None, "validation", "train"]
    prompts = ["a cat", "a dog", None, "a red dog", ""]
    table = pa.table({"caption": prompts, "split": splits})
    result = drawn(models / "base", tmp_path, table, split="validation", options=GRID)
    rows = result.table.to_pylist()
    assert [row["generated_image"] is not None for row in rows] == [True, False, False, True, False]
    assert [row["generated_grid"] is not None for row in rows] == [True, False, False, True, False]
    assert len(result.rejects) == 0
    assert result.manifest.fields["generated_image"].metadata["split"] == "validation"


def test_rows_without_a_prompt_are_rejects(models, tmp_path):
    """Also where nothing of it shows."""
    result = drawn(models / "base", tmp_path, ["a cat", None, "", "\u200b ", "a dog"])
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["0", "4"]
    assert result.rejects["reason"].to_pylist() == ["no_prompt"] * 3


def test_long_prompts_are_told_once(models, tmp_path, caplog):
    """With how many there are; what is beyond the model's reach changes nothing."""
    cut = "a red cat " * 40
    prompts = [cut, cut + "and a dog", "a cat"]
    with caplog.at_level(logging.WARNING):
        result = drawn(models / "base", tmp_path, prompts, rows_per_partition=1)
    told = [r.getMessage() for r in caplog.records if "prompts are longer" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("2 of 3 prompts are longer than the 77 tokens that the model reads")
    assert len(result.table) == 3


@pytest.mark.parametrize("kind", ["base", "xl"])
def test_negative_prompts(models, plainly, tmp_path, kind):
    """Of the row, or else of the step; rows without one are drawn as if no row had one."""
    plain = plainly[kind]
    table = pa.table({"caption": PROMPTS, "negative_prompt": ["a dog", None, " ", "a cat", None]})
    mixed = images(drawn(models / kind, tmp_path / "b", table, batch_size=5))
    wanted = by_diffusers(models / kind, negative_prompt="a dog")
    first, second, third, *_ = mixed
    assert np.abs(mixed[first] - wanted[first]).max() <= 1
    assert np.abs(mixed[first] - plain[first]).max() > 2
    assert np.abs(mixed[second] - plain[second]).max() <= 1
    step = images(drawn(models / kind, tmp_path / "c", table, negative_prompt="a dog"))
    assert np.abs(step[second] - wanted[second]).max() <= 1
    assert np.abs(step[third] - plain[third]).max() <= 1


def test_prompts_have_a_prefix_and_a_suffix(models, tmp_path):
    """With a space between, where there is none."""
    around = drawn(
        models / "base", tmp_path / "a", ["cat"], prefix="a photo of a red", suffix=", oil"
    )
    whole = drawn(models / "base", tmp_path / "b", ["a photo of a red cat, oil"])
    assert furthest(images(around), images(whole)) == 0


def test_memory_that_runs_out(models, plainly, tmp_path, monkeypatch, caplog):
    """The batch is halved, and that is told; a row that does not fit alone is a reject."""
    whole = dict(plainly["base"])
    call, sizes = StableDiffusionPipeline.__call__, []

    @functools.wraps(call)
    def short(self, prompt, **options):
        sizes.append(len(prompt))
        if len(prompt) > 1 or prompt == ["two dogs"]:
            raise torch.OutOfMemoryError
        return call(self, prompt, **options)

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", short)
    result = drawn(models / "base", tmp_path / "b")
    assert sizes == [4, 2, 1, 1, 1, 1, 1]
    assert "Out of memory with a batch of 4; going on with 2." in caplog.text
    assert result.rejects["reason"].to_pylist() == ["out_of_memory"]
    del whole[f"{4:012d}"]
    assert furthest(whole, images(result)) <= 1


def test_values_that_are_no_numbers(models, tmp_path):
    """A black image would be taken for what the model draws."""
    broken = shutil.copytree(models / "base", tmp_path / "broken")
    pipeline = load_pipeline(find_pipeline(str(broken)))
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.fill_(float("nan"))
    pipeline.vae.save_pretrained(broken / "vae")
    result = drawn(broken, tmp_path)
    assert (len(result.table), len(result.rejects)) == (0, 5)
    assert {*result.rejects["reason"].to_pylist()} == {"not_finite"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"guidance_scale": []}, "guidance_scale: needs a list of numbers from 0 on"),
        ({"guidance_scale": ["7"]}, "guidance_scale: needs a list of numbers from 0 on"),
        ({"num_inference_steps": [0]}, "needs a list of whole numbers from 1 on"),
        ({"num_inference_steps": [True]}, "needs a list of whole numbers from 1 on"),
        ({"num_inference_steps": [2000]}, "the model was trained for 1000 steps; ask for no more."),
        ({"height": 33}, "height: the model draws sides that 2 divides; 33 is none."),
        ({"split": "validation"}, "rows have no field 'split'; put split_rows before this step"),
        ({"lora_revision": "v1"}, "lora_revision is given without lora"),
        ({"model": None, "revision": "v1"}, "revision is given without model_id"),
        ({"model": None}, "no step before this one trained a model; name the model"),
        ({"device": "cuda:9"}, "'cuda:9' asked for, but this machine has"),
        ({"options": {"produces": '{"grid": "string"}'}}, "generate_images: no field 'grid'"),
        (
            {"options": {"produces": '{"generated_grid": "string"}'}},
            "generated_grid is of type list<item: binary>, not string.",
        ),
    ],
)
def test_what_is_refused(models, tmp_path, arguments, why):
    """A sentence each says where, what, and what to do."""
    given = {"model": models / "base"} | arguments
    with pytest.raises(FondantError) as error:
        drawn(given.pop("model"), tmp_path, **given)
    assert why in str(error.value)


@pytest.mark.parametrize(("says", "clips"), [({}, False), ({"clip_sample": True}, True)])
def test_latents_are_not_clipped_as_pixels_are(models, says, clips):
    """Unless the model says so: DDIM clips by itself, the model's own scheduler never does."""
    pipeline = load_pipeline(find_pipeline(str(models / "base")))
    pipeline.scheduler.register_to_config(**says)
    settings = load_module(COMPONENT, "drawing_settings").DrawingSettings(scheduler="ddim")
    settings.apply(pipeline, with_negatives=False)
    assert type(pipeline.scheduler).__name__ == "DDIMScheduler"
    assert pipeline.scheduler.config.clip_sample is clips


def test_a_scheduler_that_does_not_suit(models, tmp_path):
    """A model of flows takes none of those that remove noise."""
    flows = shutil.copytree(models / "base", tmp_path / "flows")
    FlowMatchEulerDiscreteScheduler().save_pretrained(flows / "scheduler")
    index = json.loads((flows / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "FlowMatchEulerDiscreteScheduler"]
    (flows / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(FondantError, match="scheduler: ddim does not suit a model with Flow"):
        drawn(flows, tmp_path, scheduler="ddim")
