"""What a training writes, read back with diffusers and held against sums made by hand."""

import json

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fondant_spec.dataset.written_files import changed_files
from fondant_spec.worker.component_code import load_module
from image_toolkit.diffusion.pipeline_files import find_pipeline
from tests.made_trainings import FINE_TUNE, folder_of, told_of, training_rows, tuned
from tests.tiny_diffusion import make_stable_diffusion, make_stable_diffusion_xl


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A Stable Diffusion, and an SDXL."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "sd": make_stable_diffusion(folder / "sd"),
        "xl": make_stable_diffusion_xl(folder / "xl"),
    }


def drawn(pipeline):
    """Return what a pipeline draws, always from the same noise."""
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(7)
    made = pipeline(
        "a photo of a red cat", num_inference_steps=3, generator=noise, output_type="pt"
    )
    return made.images[0]


def loaded(folder, **parts):
    """Return a pipeline as diffusers loads it."""
    return DiffusionPipeline.from_pretrained(folder, safety_checker=None, **parts)


def merged_by_hand(model, file):
    """Return the base's UNet, with up times down, times alpha by rank, added to its layers."""
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    weights = load_file(file)
    layers = {f"lora_unet_{name.replace('.', '_')}": one for name, one in unet.named_modules()}
    for name in [key.removesuffix(".alpha") for key in weights if key.endswith(".alpha")]:
        down, up = (weights[f"{name}.lora_{way}.weight"] for way in ("down", "up"))
        with torch.no_grad():
            layers[name].weight += up @ down * (weights[f"{name}.alpha"] / len(down))
    return unet


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_a_lora_changes_what_is_drawn_alike_in_both_layouts(models, tmp_path, kind):
    """Loaded by diffusers from either file, or added to the weights by hand."""
    model = models[kind]
    folder = folder_of(tuned(model, training_rows(), tmp_path, rank=3))
    before = drawn(loaded(model))
    by_hand = drawn(loaded(model, unet=merged_by_hand(model, folder / "kohya_lora.safetensors")))
    assert (by_hand - before).abs().max() > 0.01
    for name in ("pytorch_lora_weights.safetensors", "kohya_lora.safetensors"):
        pipeline = loaded(model)
        pipeline.load_lora_weights(folder, weight_name=name)
        torch.testing.assert_close(drawn(pipeline), by_hand, atol=1e-4, rtol=1e-3)


def test_a_lora_is_on_the_attention_layers_that_kohya_names(models, tmp_path):
    """Each has two matrices and an alpha, under its path with underscores."""
    folder = folder_of(tuned(models["sd"], training_rows(), tmp_path, rank=3))
    unet = UNet2DConditionModel.from_pretrained(models["sd"], subfolder="unet")
    layers = {
        f"lora_unet_{name.replace('.', '_')}"
        for name, _ in unet.named_modules()
        if name.endswith((".to_q", ".to_k", ".to_v", ".to_out.0"))
    }
    weights = load_file(folder / "kohya_lora.safetensors")
    ends = ("lora_down.weight", "lora_up.weight", "alpha")
    assert {*weights} == {f"{layer}.{end}" for layer in layers for end in ends}
    assert {float(w) for name, w in weights.items() if name.endswith("alpha")} == {3.0}
    assert {len(w) for name, w in weights.items() if "lora_down" in name} == {3}


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_a_full_training_writes_a_pipeline(models, tmp_path, kind):
    """With the UNet's moving average; all other parts are the base's."""
    arguments = {"method": "full", "use_ema": True, "learning_rate": 1e-3}
    if kind == "xl":
        arguments["prediction_type"] = "v_prediction"
    result = tuned(models[kind], training_rows(), tmp_path, **arguments)
    folder, before = folder_of(result), loaded(models[kind])
    after = loaded(folder)
    assert after.scheduler.config.prediction_type == told_of(result)["prediction_type"]
    assert (after.scheduler.config.prediction_type == "epsilon") == (kind == "sd")
    assert (drawn(after) - drawn(before)).abs().max() > 0.01
    for part in ("vae", "text_encoder"):
        for old, new in zip(
            getattr(before, part).parameters(), getattr(after, part).parameters(), strict=True
        ):
            assert torch.equal(old, new)
    plain = tuned(models[kind], training_rows(), tmp_path, **arguments | {"use_ema": False})
    name = "unet/diffusion_pytorch_model.safetensors"
    assert load_file(folder / name).keys() == load_file(folder_of(plain) / name).keys()
    assert (folder / name).read_bytes() != (folder_of(plain) / name).read_bytes()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_whoever_reads_the_record_reads_the_weights(models, tmp_path, method):
    """No file is its owner's alone: another user, or a pod with another uid, may draw with it."""
    folder = folder_of(tuned(models["sd"], training_rows(), tmp_path, method=method))
    modes = {file.stat().st_mode for file in folder.rglob("*") if file.is_file()}
    assert modes == {(folder / "training.json").stat().st_mode}


def test_what_is_written_down(models, tmp_path):
    """The contract of training.json, the events of TensorBoard, the card, and the mark."""
    result = tuned(models["sd"], training_rows(), tmp_path, gradient_accumulation_steps=2)
    folder, told = folder_of(result), told_of(result)
    assert told["base_model"] == str(models["sd"])
    assert (told["base_revision"], told["method"], told["prediction_type"]) == (
        find_pipeline(str(models["sd"])).revision,  # so that another base is noticed later
        "lora",
        "epsilon",
    )
    assert told["arguments"]["learning_rate"] == 1e-2
    assert told["rows"] == {"train": 8, "validation": 2}
    assert (told["steps"], told["epochs"], told["device"]) == (4, 4, "cpu")
    assert [one["step"] for one in told["train_loss"]] == [1, 2, 3, 4]
    assert [(one["step"], one["epoch"]) for one in told["validation_loss"]] == [
        (step, step) for step in range(5)
    ]
    losses = [one["loss"] for one in told["validation_loss"]]
    assert losses[-1] < losses[0]
    assert told["best_step"] == losses.index(min(losses))
    assert min(told["images_per_second"], told["seconds"], told["peak_memory_bytes"]) > 0
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    for tag, key in (("loss", "train_loss"), ("validation_loss", "validation_loss")):
        shown = [(event.step, event.value) for event in events.Scalars(tag)]
        assert shown == [(one["step"], pytest.approx(one["loss"])) for one in told[key]]
    assert not list(changed_files(str(folder / "export.json")))
    assert {*json.loads((folder / "export.json").read_text())["files"]} == {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "export.json"
    }
    card = (folder / "README.md").read_text()
    assert "| images to train on | 8 |" in card
    assert "red cat" not in card


def test_the_unet_runs_in_what_was_asked(models, tmp_path):
    """In bf16 the losses are about those of fp32, and the LoRA is kept in fp32."""
    whole = told_of(tuned(models["sd"], training_rows(), tmp_path))
    result = tuned(models["sd"], training_rows(), tmp_path, mixed_precision="bf16")
    for exact, found in zip(whole["train_loss"], told_of(result)["train_loss"], strict=True):
        assert found["loss"] == pytest.approx(exact["loss"], rel=0.02)
        assert found["loss"] != exact["loss"]
    weights = load_file(folder_of(result) / "pytorch_lora_weights.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


def test_gradient_checkpointing_learns_the_same(models, tmp_path):
    """With less memory."""
    plain, spared = (
        told_of(tuned(models["sd"], training_rows(), tmp_path / f"{len(saved)}", **saved))
        for saved in ({}, {"gradient_checkpointing": True})
    )
    for one, other in zip(plain["train_loss"], spared["train_loss"], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_captions_are_encoded_as_the_pipeline_does(models, tmp_path, kind):
    """Those of a batch alike, and none at all: an SDXL may have zeros for that."""
    base = load_module(FINE_TUNE, "base_model").load_base(str(models[kind]), None, None)
    store = load_module(FINE_TUNE, "tensor_store").TensorStore(tmp_path)
    device = torch.device("cpu")
    texts = load_module(FINE_TUNE, "text_vectors").TextVectors(store, base, device, torch.float32)
    captions = ["a blue dog", "", "a red cat " * 50]
    texts.add(captions)
    for caption in captions:
        given = {"negative_prompt": "" if kind == "sd" else None}
        made = base.pipeline.encode_prompt(
            caption,
            device=device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            **given,
        )
        conditions = made[::2] if kind == "xl" else made[:1]
        if caption == "":
            conditions = made[1::2]
        found = texts.of(caption)
        for name, wanted in zip(("text", "pooled"), conditions, strict=False):
            torch.testing.assert_close(found[name], wanted[0], atol=1e-5, rtol=1e-4)
    assert {*found} == ({"text", "pooled"} if kind == "xl" else {"text"})


def test_latents_are_those_of_the_pipeline(models):
    """The mean, the spread, and the scale."""
    base = load_module(FINE_TUNE, "base_model").load_base(str(models["sd"]), None, None)
    encoder = load_module(FINE_TUNE, "latent_encoder")
    made = encoder.LatentEncoder(base.pipeline.vae, torch.device("cpu"))
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    noise = torch.randn(2, 4, 16, 16)
    found = made.latents(made.moments(list(pixels)), noise)
    ready = base.pipeline.image_processor.preprocess([Image.fromarray(one) for one in pixels])
    with torch.no_grad():
        spread = base.pipeline.vae.encode(ready).latent_dist
    wanted = (spread.mean + spread.std * noise) * base.pipeline.vae.config.scaling_factor
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
