"""What cannot be trained, or not as asked: told, in one line that says what to do."""

import json
import re

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.worker.component_code import load_module
from tests.made_trainings import FINE_TUNE, folder_of, picture, told_of, training_rows, tuned
from tests.tiny_diffusion import make_stable_diffusion

LORA = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Stable Diffusion."""
    return make_stable_diffusion(tmp_path_factory.mktemp("models") / "sd")


@pytest.fixture
def own_model(tmp_path):
    """A Stable Diffusion to spoil."""
    return make_stable_diffusion(tmp_path / "model")


def change(file, **told):
    """Change what a JSON file says."""
    file.write_text(json.dumps(json.loads(file.read_text()) | told))


def no_index(model):
    """Take the index away."""
    (model / "model_index.json").unlink()


def other_class(model):
    """Make it another architecture's."""
    change(model / "model_index.json", _class_name="FluxPipeline")


def inpainting(model):
    """Make it one that is given an image and a mask as well."""
    change(model / "unet" / "config.json", in_channels=9)
    file = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_in.weight"] = torch.zeros(16, 9, 3, 3)
    save_file(weights, file, {"format": "pt"})


def sample_prediction(model):
    """Make it predict the image itself."""
    change(model / "scheduler" / "scheduler_config.json", prediction_type="sample")


def weights_missing(model):
    """Take one matrix away."""
    file = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights.pop("conv_out.weight")
    save_file(weights, file, {"format": "pt"})


def pickled(model):
    """Have only pickled weights."""
    file = model / "vae" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_index, "has no model_index.json"),
        (other_class, "is a FluxPipeline. fine_tune trains Stable Diffusion 1.x, 2.x and XL"),
        (inpainting, "takes 9 channels where its images have 4"),
        (sample_prediction, "predicts 'sample', neither 'epsilon' nor 'v_prediction'"),
        (weights_missing, "conv_out.weight"),
        (pickled, "no safetensors weights of its part 'vae'"),
    ],
)
def test_a_model_that_cannot_be_tuned_is_told_before_any_row(own_model, tmp_path, spoil, told):
    """In one error, whatever is wrong with it: the row, which has no image, is not met."""
    spoil(own_model)
    rows = training_rows(1, 0, image=[None])
    with pytest.raises(InputDataError, match=re.escape(told)):
        tuned(own_model, rows, tmp_path)


def test_rows_that_cannot_be_trained_on_are_rejected(model, tmp_path, caplog):
    """Each with a reason; the others are trained on, and what is odd about them is told."""
    rows = training_rows(
        8,
        0,
        image=[None, b"no image", *(picture(n) for n in range(5)), picture(9, (20, 30))],
        caption=["a", "b", None, "\u200b", "e", "f", "g", "a red cat " * 50],
        split=[None, None, None, None, "test", None, None, None],
        repeats=[None, None, None, None, None, 0, 2, None],
    )
    result = tuned(model, rows, tmp_path)
    assert result.rejects["reason"].to_pylist() == [
        "empty",
        "not_an_image",
        "no_caption",
        "no_caption",
        "unknown_split",
        "bad_repeats",
    ]
    told = told_of(result)
    assert (told["rows"], told["enlarged_images"]) == ({"train": 2, "validation": 0}, 1)
    assert (told["best_step"], told["validation_loss"]) == (None, [])
    assert "1 of 2 images are smaller than 32 pixels, and were enlarged" in caplog.text
    assert "No images to validate with" in caplog.text
    assert "so that their end is not seen: 1." in caplog.text


def test_what_is_not_to_be_learned_as_the_subject(model, tmp_path, caplog):
    """Images of the class are left out, thin ones rejected, and groups on both sides told."""
    rows = training_rows(
        6,
        0,
        image=[*(picture(n) for n in range(5)), picture(9, (4, 900))],
        class_prompt=["a photo of a dog", None, "", None, None, None],
        group_id=["1", "2", "2", "3", "3", None],
        split=[None, "train", "validation", "train", "train", "train"],
    )
    result = tuned(model, rows, tmp_path)
    assert [(one["reason"], one["id"][-1]) for one in result.rejects.to_pylist()] == [
        ("regularization", "0"),
        ("too_elongated", "5"),
    ]
    assert result.manifest.failed == 1
    assert told_of(result)["rows"] == {"train": 3, "validation": 1}
    assert "with some to train on and some held out: 1." in caplog.text


def test_a_dataset_without_captions_is_told(model, tmp_path):
    """As is one whose rows are all held out."""
    with pytest.raises(InputDataError, match=r"no images to train on.*no_caption 3"):
        tuned(model, training_rows(3, 0, caption=[None] * 3), tmp_path)
    with pytest.raises(InputDataError, match=r"no images to train on.*split validation: 3"):
        tuned(model, training_rows(3, 3), tmp_path)


def test_one_image_is_learnt_by_heart(model, tmp_path, caplog):
    """Which is told, and done."""
    assert told_of(tuned(model, training_rows(1, 0), tmp_path))["steps"] == 4
    assert "One image alone" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"resolution": 30}, "multiple of 8"),
        ({"resolution": 72, "buckets": True, "center_crop": False}, "multiple of 64 with buckets"),
        ({"cached_crops": 2}, "with center_crop"),
        ({"mixed_precision": "fp16"}, "fp16 needs a GPU"),
        ({"device": "cuda:9"}, "GPUs"),
    ],
)
def test_arguments_that_do_not_fit_are_told(model, tmp_path, arguments, told):
    """Before any row."""
    with pytest.raises(InvalidArgumentError, match=told):
        tuned(model, training_rows(1, 0, image=[None]), tmp_path, **arguments)


def test_a_loss_that_is_no_number_ends_the_training(model, tmp_path):
    """The last good state is kept, and where is told."""
    asked = {"method": "full", "learning_rate": 1e30, "checkpointing_steps": 1}
    with pytest.raises(InputDataError, match="is no number") as raised:
        tuned(model, training_rows(), tmp_path, **asked)
    assert "Lower learning_rate" in str(raised.value)
    (kept,) = re.findall(r"kept in (\S+)\. ", str(raised.value))
    kept = tmp_path / kept
    weights = load_file(kept / "weights.safetensors")
    assert kept.name == "step-00000001"
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def forward_that_takes(most):
    """Return the UNet's forward on a device that has memory for so many examples."""
    forward = UNet2DConditionModel.forward

    def fitting(self, sample, *arguments, **options):
        if len(sample) > most:
            msg = "CUDA out of memory. Tried to allocate 20.00 MiB."
            raise torch.OutOfMemoryError(msg)
        return forward(self, sample, *arguments, **options)

    return fitting


def test_batches_that_do_not_fit_are_halved(model, tmp_path, monkeypatch, caplog):
    """And accumulated, so that what is learnt is the same."""
    whole = tuned(model, training_rows(), tmp_path / "whole", learning_rate=1e-3)
    monkeypatch.setattr(UNet2DConditionModel, "forward", forward_that_takes(1))
    cut = tuned(model, training_rows(), tmp_path / "cut", learning_rate=1e-3)
    assert "with train_batch_size 2 and gradient_accumulation_steps 2" in caplog.text
    assert "with train_batch_size 1 and gradient_accumulation_steps 4" in caplog.text
    assert told_of(cut)["batch_size_in_memory"] == 1
    for one, other in zip(told_of(whole)["train_loss"], told_of(cut)["train_loss"], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
    weights = load_file(folder_of(cut) / LORA)
    for name, weight in load_file(folder_of(whole) / LORA).items():
        torch.testing.assert_close(weights[name], weight, atol=1e-4, rtol=1e-2)


def test_what_does_not_fit_at_all_is_told(model, tmp_path, monkeypatch):
    """With what would help."""
    monkeypatch.setattr(UNet2DConditionModel, "forward", forward_that_takes(0))
    with pytest.raises(InputDataError, match="gradient_checkpointing"):
        tuned(model, training_rows(), tmp_path)


def test_a_gradient_that_is_no_number_changes_nothing():
    """The loss may be fine: the weights would not be."""
    optimization = load_module(FINE_TUNE, "optimization")
    settings = load_module(FINE_TUNE, "tuning_settings").OptimizerSettings()
    weight = torch.nn.Parameter(torch.ones(2))
    with load_module(FINE_TUNE, "acceleration").accelerated("cpu", "no") as accelerator:
        changing = optimization.Optimization(accelerator, [weight], settings, 1)
        changing.backward((weight * torch.tensor([1.0, float("inf")])).sum())
        assert not changing.step()
    assert torch.equal(weight, torch.ones(2))
