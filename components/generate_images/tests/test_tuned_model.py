"""Images by what a step before has trained, which nothing but the manifests tells."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.errors import FondantError
from fondant_spec.testing import run_component
from image_toolkit.diffusion.pipeline_files import find_pipeline
from tests.tiny_diffusion import make_stable_diffusion, save_lora

COMPONENT = Path(__file__).parents[1]
TRAIN = Path(__file__).parents[3] / "tests" / "components" / "train"
SETTINGS = {"num_inference_steps": [3], "device": "cpu"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with two models, and two LoRAs for the first."""
    folder = tmp_path_factory.mktemp("models")
    make_stable_diffusion(folder / "base")
    make_stable_diffusion(folder / "full", seed=1)
    save_lora(folder / "base", folder / "lora")
    save_lora(folder / "base", folder / "second", seed=2)
    return folder


def told(base, **other):
    """Return what training.json says of a LoRA."""
    known = {"method": "lora", "base_model": str(base)}
    return known | {"base_revision": find_pipeline(str(base)).revision} | other


def train(tmp_path, folder, says, *, step="train", after=None):
    """Run a step that leaves a folder, after another or on prompts; return its manifest."""
    table = None if after else pa.table({"caption": ["a red cat", "a blue dog"]})
    options = {"step_id": step} | ({"input_manifest_path": after.location} if after else {})
    arguments = {"trained": str(folder), "told": says}
    return run_component(TRAIN, table, tmp_path, options=options, **arguments).manifest


def drawn(tmp_path, after, **arguments):
    """Run the component on what comes out of a step."""
    options = {"input_manifest_path": after.location}
    return run_component(COMPONENT, None, tmp_path, options=options, **SETTINGS | arguments)


def images(result):
    """Return the files of the images."""
    return result.table.column("generated_image").to_pylist()


def test_a_lora_that_a_step_trained(models, tmp_path):
    """It is put on its base model, and both are in the metadata."""
    trained = train(tmp_path, models / "lora", told(models / "base"))
    result = drawn(tmp_path, trained)
    named = {"model_id": str(models / "base"), "lora": str(models / "lora")}
    assert images(result) == images(drawn(tmp_path, trained, **named))
    about = result.manifest.fields["generated_image"].metadata
    assert (about["model_id"], about["trained_by"]) == ("base", "train")
    assert about["lora"]["name"] == "train"
    base = drawn(tmp_path, trained, model_id=str(models / "base"))
    assert not {*images(base)} & {*images(result)}
    weaker = drawn(tmp_path, trained, lora_scale=0.5)
    assert not {*images(weaker)} & {*images(result)}


def test_a_lora_draws_what_it_was_trained_to_predict(models, tmp_path):
    """Where fine_tune was told another prediction_type than its base says of itself."""
    shutil.copytree(models / "base", tmp_path / "velocity")
    file = tmp_path / "velocity" / "scheduler" / "scheduler_config.json"
    says = json.loads(file.read_text()) | {"prediction_type": "v_prediction"}
    file.write_text(json.dumps(says))
    trained = train(
        tmp_path, models / "lora", told(models / "base", prediction_type="v_prediction")
    )
    lora = {"model_id": str(tmp_path / "velocity"), "lora": str(models / "lora")}
    assert images(drawn(tmp_path, trained)) == images(drawn(tmp_path, trained, **lora))


def test_a_whole_model_that_a_step_trained(models, tmp_path):
    """Its name is that of the step, since folders are called by their keys."""
    trained = train(tmp_path, models / "full", {"method": "full", "base_model": "owner/gone"})
    result = drawn(tmp_path, trained)
    assert images(result) == images(drawn(tmp_path, trained, model_id=str(models / "full")))
    about = result.manifest.fields["generated_image"].metadata
    assert (about["model_id"], about["trained_by"]) == ("train", "train")
    assert about["revision"] == find_pipeline(str(models / "full")).revision


def test_the_nearest_is_taken_and_counts_in_the_key(models, tmp_path):
    """Of two steps that trained the later one; another training is another result."""
    first = train(tmp_path, models / "lora", told(models / "base"), step="first")
    second = train(tmp_path, models / "second", told(models / "base"), step="second", after=first)
    later, earlier = drawn(tmp_path, second), drawn(tmp_path, first)
    about = later.manifest.fields["generated_image"].metadata
    assert about["trained_by"] == "second"
    assert not {*images(later)} & {*images(earlier)}
    assert later.manifest.cache_key != earlier.manifest.cache_key
    again = train(tmp_path, models / "second", told(models / "base", steps=7), step="second")
    assert drawn(tmp_path, again).manifest.cache_key != later.manifest.cache_key


def test_an_earlier_training_does_not_stand_for_a_later_one(models, tmp_path):
    """Not where the folder of the later one is gone, or is not to be seen in a container."""
    first = train(tmp_path, models / "lora", told(models / "base"), step="first")
    second = train(tmp_path, models / "second", told(models / "base"), step="second", after=first)
    shutil.rmtree(Path(second.artifacts[0]).parent)
    with pytest.raises(FondantError, match="What step 'second' wrote is not to be seen here"):
        drawn(tmp_path, second)


def test_a_folder_that_another_training_wrote_to(models, tmp_path):
    """As two steps may that are given one output_path."""
    trained = train(tmp_path, models / "lora", told(models / "base"))
    mark = Path(trained.artifacts[0])
    mark.write_text(mark.read_text() + " ")
    with pytest.raises(FondantError, match="is not what step 'train' wrote; run that step anew"):
        drawn(tmp_path, trained)


@pytest.mark.parametrize(
    ("says", "arguments", "why"),
    [
        (
            {"base_model": "/no/such"},
            {},
            "'/no/such': there is no such folder. Step 'train' trained",
        ),
        ({"base_model": None}, {}, "No model is named"),
        (
            {"base_revision": "sha256:0"},
            {},
            "is not what step 'train' trained its LoRA on: it was sha",
        ),
        ({}, {"lora": "LORA"}, "step 'train' trained a LoRA, and one goes on top of a model"),
        ({"method": "full"}, {}, "has no model_index.json, so it is no diffusers pipeline"),
    ],
)
def test_what_is_refused(models, tmp_path, says, arguments, why):
    """A sentence each says where, what, and what to do."""
    trained = train(tmp_path, models / "lora", told(models / "base", **says))
    given = {name: str(models / "lora") for name in arguments}
    with pytest.raises(FondantError) as error:
        drawn(tmp_path, trained, **given)
    assert why in str(error.value)


def test_a_folder_that_is_gone(models, tmp_path):
    """Nothing else is drawn with in its place."""
    trained = train(tmp_path, models / "lora", told(models / "base"))
    folder = Path(trained.artifacts[0]).parent
    for text in ("[]", "{"):
        (folder / "training.json").write_text(text)
        with pytest.raises(FondantError, match=r"training.json: .*run the step anew that trained"):
            drawn(tmp_path, trained)
    (folder / "training.json").write_text(json.dumps(told(models / "base")))
    (folder / "pytorch_lora_weights.safetensors").unlink()
    with pytest.raises(FondantError, match=r"there are: none\. Name the file."):
        drawn(tmp_path, trained)
    shutil.rmtree(folder)
    with pytest.raises(FondantError, match="no step before this one trained a model"):
        drawn(tmp_path, trained)
