"""Loading pipelines from folders and from a local hub, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from fondant_spec.errors import FondantError, InputDataError, InvalidArgumentError
from image_toolkit.diffusion.lora import apply_lora, find_lora
from image_toolkit.diffusion.pipeline_files import find_pipeline
from image_toolkit.diffusion.pretrained import load_pipeline, placement_on
from tests.hub_server import COMMIT, hub_of
from tests.tiny_diffusion import make_stable_diffusion, make_stable_diffusion_xl, save_lora

UNET = "unet/diffusion_pytorch_model.safetensors"
RAN = "raise SystemExit('code of the model was run')"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model, an SDXL, and a LoRA for the first."""
    folder = tmp_path_factory.mktemp("models")
    make_stable_diffusion(folder / "base")
    make_stable_diffusion_xl(folder / "xl")
    save_lora(folder / "base", folder / "lora")
    return folder


@pytest.fixture
def copy(models, tmp_path):
    """The model, to be changed."""
    return Path(shutil.copytree(models / "base", tmp_path / "model"))


def load(folder):
    """Load the pipeline of a folder."""
    return load_pipeline(find_pipeline(str(folder)))


def test_all_weights_are_those_of_the_files(models):
    """In the precision asked for."""
    files = find_pipeline(str(models / "base"))
    pipeline = load_pipeline(files, torch.bfloat16)
    stored = load_file(models / "base" / UNET)
    for name, weight in pipeline.unet.state_dict().items():
        assert torch.equal(weight, stored[name].to(torch.bfloat16))
    dtypes = {part.dtype for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)}
    assert dtypes == {torch.bfloat16}
    assert not pipeline.unet.training


def test_the_revision_is_of_what_is_loaded(copy):
    """Other files in the folder do not count; weights and settings do."""
    before = find_pipeline(str(copy)).revision
    (copy / "README.md").write_text("words")
    (copy / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    assert find_pipeline(str(copy)).revision == before
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert find_pipeline(str(copy)).revision != before


def test_the_filter_is_left_out(copy, tmp_path):
    """Also where its weights are pickled, or missing."""
    edit(copy, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    pipeline = load(copy)
    assert pipeline.safety_checker is None
    pipeline.save_pretrained(tmp_path / "saved")
    assert load(tmp_path / "saved").config["requires_safety_checker"] is False


def test_a_model_of_the_hub(models, tmp_path, monkeypatch):
    """Safetensors and settings are fetched, of one commit; then no connection is needed."""
    with hub_of(tmp_path, monkeypatch) as hub:
        shutil.copytree(models / "base", hub.root, dirs_exist_ok=True)
        for name in (
            "evil.py",
            "unet/evil.py",
            "unet/x.bin",
            "unet/x.fp16.safetensors",
            "big.ckpt",
        ):
            hub.write(name, b"x")
        found = find_pipeline("owner/photos", "v1")
        assert (found.name, found.revision) == ("owner/photos", COMMIT)
        load_pipeline(found)
        fetched = {path.rpartition("/")[2] for path, _ in hub.requests if "/resolve/" in path}
        assert not {name for name in fetched if name.endswith((".py", ".bin", ".ckpt"))}
        assert "x.fp16.safetensors" not in fetched
        with pytest.raises(InputDataError, match="Model 'owner/none': the hub has no such model"):
            find_pipeline("owner/none")
        with pytest.raises(InputDataError, match="Model 'owner/gated': it is gated"):
            find_pipeline("owner/gated")
        hub.write(
            "pytorch_lora_weights.safetensors", next((models / "lora").iterdir()).read_bytes()
        )
        lora = find_lora("owner/photos", "v1")
        assert (lora.name, lora.revision) == ("owner/photos", COMMIT)
        file = find_lora("hf://owner/photos/pytorch_lora_weights.safetensors")
        assert file.digest == lora.digest
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_pipeline("owner/photos", "v1").folder == found.folder
    with pytest.raises(InputDataError, match="it is not on this machine and the hub cannot be"):
        find_pipeline("owner/other")


def edit(folder, **changes):
    """Change the index of a pipeline."""
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | changes))


def removed(*names):
    """Return what removes files of a pipeline."""

    def remove(folder):
        for name in names:
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()

    return remove


def indexed(**changes):
    """Return what changes the index of a pipeline."""
    return lambda folder: edit(folder, **changes)


def pickled(folder):
    """Leave the weights of the UNet as a pickle alone."""
    (folder / UNET).unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")


def with_code(folder):
    """Put code where some loaders run it."""
    for name in ("None.py", "pipeline.py", "mine.py", "unet/mine.py"):
        (folder / name).write_text(RAN)
    edit(folder, unet=["mine", "UNet"])


def fewer_weights(folder):
    """Leave a weight out."""
    weights = load_file(folder / UNET)
    del weights["conv_in.weight"]
    save_file(weights, folder / UNET)


def another_shape(folder):
    """Have the settings speak of another size."""
    config = json.loads((folder / "unet" / "config.json").read_text())
    config["cross_attention_dim"] = 48
    (folder / "unet" / "config.json").write_text(json.dumps(config))


def cut_short(folder):
    """Cut a file of weights."""
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:1000])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (removed("model_index.json"), "has no model_index.json, so it is no diffusers pipeline."),
        (removed("unet"), "its part 'unet' is missing; download the model again."),
        (removed(UNET), "has no safetensors weights of its part 'unet'. Pickled weights can"),
        (pickled, "of its part 'unet' (diffusion_pytorch_model.bin). Pickled weights can run code"),
        (fewer_weights, "Model 'model' (unet): weights are missing, or of another shape"),
        (another_shape, "Model 'model' cannot be loaded: "),
        (cut_short, "Model 'model' cannot be loaded: "),
        (with_code, "its part 'unet' is a UNet of mine, which neither diffusers nor transformers"),
        (indexed(_class_name=["mine", "Pipeline"]), "is a pipeline with code of its own, which"),
        (indexed(_class_name="StableDiffusionInpaintPipeline"), "which makes no images of texts"),
        (indexed(_class_name="StableDiffusionControlNetPipeline"), "which makes no images of"),
        (indexed(_class_name="AudioLDMPipeline"), "Model 'model' is a AudioLDMPipeline, which"),
        (indexed(unet=["os", "system"]), "its part 'unet' is a system of os, which neither"),
        (removed("tokenizer/tokenizer.json"), "its tokenizer cannot be made."),
    ],
)
def test_models_that_are_refused(copy, change, why):
    """A sentence each says where, what, and what to do; no code of a model is run."""
    change(copy)
    with pytest.raises(FondantError) as error:
        load(copy)
    assert why in str(error.value)


def test_code_beside_a_model_is_not_run(copy):
    """Whatever it is called by, and the model is loaded all the same."""
    trace = copy / "it_ran"
    code = f"from pathlib import Path\nPath({str(trace)!r}).touch()\n"
    for name in ("None.py", "pipeline.py", "unet/diffusers.py", "scheduler/diffusers.py"):
        (copy / name).write_text(code)
    assert type(load(copy)).__name__ == "StableDiffusionPipeline"
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "No model is named"),
        ("./none", "Model './none': there is no such folder."),
        ("a b", "Model 'a b': neither a folder nor the id of a model"),
    ],
)
def test_names_of_no_model(name, why):
    """Folders are not looked for on the hub."""
    with pytest.raises(InputDataError) as error:
        find_pipeline(name)
    assert why in str(error.value)


def test_loras_that_are_refused(models, tmp_path):
    """For another model, of no use for this one, damaged, pickled, or not there."""
    pipeline = load(models / "xl")
    with pytest.raises(InputDataError, match="'lora' cannot be put on model 'xl': name the model"):
        apply_lora(pipeline, find_lora(str(models / "lora")), 1.0, "xl")
    other = tmp_path / "other.safetensors"
    save_file({"vae.conv.lora_A.weight": torch.zeros(2, 2)}, other)
    with pytest.raises(InputDataError, match=r"'other.safetensors' cannot be put on model 'base'"):
        apply_lora(load(models / "base"), find_lora(str(other)), 1.0, "base")
    other.write_bytes(b"no weights")
    with pytest.raises(InputDataError, match=r"cannot be read .*; get the file anew"):
        apply_lora(pipeline, find_lora(str(other)), 1.0, "xl")
    (tmp_path / "lora.bin").write_bytes(b"pickle")
    with pytest.raises(InputDataError, match=r"a \.bin file may run code when it is loaded"):
        find_lora(str(tmp_path / "lora.bin"))
    with pytest.raises(InputDataError, match="there is no such file or folder"):
        find_lora(str(tmp_path / "none.safetensors"))
    save_file({"a": torch.zeros(1)}, tmp_path / "another.safetensors")
    with pytest.raises(InputDataError, match=r"there are: another\.safetensors, other\.safe"):
        find_lora(str(tmp_path))


def test_layers_that_the_model_does_not_have_are_told(models, tmp_path, caplog):
    """The others are changed."""
    weights = load_file(models / "lora" / "pytorch_lora_weights.safetensors")
    for letter, shape in (("A", (2, 32)), ("B", (32, 2))):
        weights[f"unet.down_blocks.9.attn1.to_q.lora_{letter}.weight"] = torch.zeros(shape)
    save_file(weights, tmp_path / "more.safetensors")
    apply_lora(load(models / "base"), find_lora(str(tmp_path / "more.safetensors")), 1.0, "base")
    assert "the others change nothing." in caplog.text


def test_precision_by_device():
    """On a CPU fp32, unless another one is asked for."""
    cpu = torch.device("cpu")
    assert placement_on(cpu).precision == "fp32"
    assert placement_on(cpu, "fp32").dtype == torch.float32
    with pytest.raises(InvalidArgumentError, match="fp16 is slower than fp32 on a CPU"):
        placement_on(cpu, "fp16")


def test_a_vae_of_another_class_is_loaded_as_what_it_is(models):
    """The index says which class a part has."""
    assert isinstance(load(models / "xl").vae, AutoencoderKL)
