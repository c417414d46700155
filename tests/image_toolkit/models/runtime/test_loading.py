"""Models whose files are not whole are refused: nothing of them is made up."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from fondant_spec.errors import InputDataError
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.embedding.embedders import image_encoder, text_encoder
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model

CAPTIONERS = ["blip", "blip-2", "git", "vit-gpt2", "florence2", "llava", "qwen2.5-vl", "smolvlm"]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
DAMAGED = "Model '{0}' cannot be loaded: a file of it cannot be read. It is damaged, cut short, or"
NO_TOKENIZER = (
    "Model '{0}' cannot be loaded: its tokenizer cannot be made. The files of that "
    "(`tokenizer.json`, or a vocabulary) are missing or another model's, and to be downloaded again"
)


def captioner(folder):
    """Return a captioner on the CPU."""
    return LocalCaptioner(find_model(folder), Placement(torch.device("cpu"), "fp32"), None)


@pytest.fixture
def copied(tiny, tmp_path):
    """Return a function from a kind of model to a copy of a tiny one, to be spoilt."""
    return lambda kind: shutil.copytree(tiny(kind), tmp_path / kind)


def edit_weights(folder, edit):
    """Put what `edit` makes of a model's tensors in their place."""
    path = folder / "model.safetensors"
    save_file(edit(load_file(path)), path, {"format": "pt"})


def edit_config(folder, **settings):
    """Change settings in a model's configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def told(make, folder):
    """Return what is said of a model that cannot be loaded."""
    with pytest.raises(InputDataError) as caught:
        make(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "make"), [("clip", image_encoder), ("blip", captioner)])
def test_missing_weights_are_named(kind, make, copied):
    """Weights under names that the model does not know are missing, and not made up at random."""
    folder = copied(kind)
    edit_weights(
        folder,
        lambda tensors: {
            name.replace("vision_model.encoder", "eyes"): value for name, value in tensors.items()
        },
    )
    assert told(make, folder) == (
        f"Model '{kind}' ({kind}): weights are missing, or of another shape than its config.json "
        "says: vision_model.encoder.layers.0.layer_norm1.bias, "
        "vision_model.encoder.layers.0.layer_norm1.weight, "
        "vision_model.encoder.layers.0.layer_norm2.bias and "
        f"{29 if kind == 'clip' else 21} more. It is no model for this step, or its download is "
        "damaged: choose another model, or download it again."
    )


def test_weights_of_another_shape_are_named(copied):
    """A tensor of another shape than the configuration says counts as missing."""
    folder = copied("clip")
    name = "visual_projection.weight"
    edit_weights(folder, lambda tensors: tensors | {name: tensors[name][:5].contiguous()})
    assert f"or of another shape than its config.json says: {name}." in told(image_encoder, folder)


@pytest.mark.parametrize(
    ("make", "missing"),
    [(image_encoder, "visual_projection.weight."), (text_encoder, "text_model.embeddings.")],
)
def test_a_captioner_that_lacks_what_embeds(make, missing, tiny):
    """BLIP has a class that embeds and one that captions; the weights of this are not enough."""
    assert f"of another shape than its config.json says: {missing}" in told(make, tiny("blip"))


def test_half_a_model_embeds_its_half(copied):
    """A CLIP without its text tower embeds images, and no texts."""
    folder = copied("clip")
    edit_weights(
        folder,
        lambda tensors: {n: value for n, value in tensors.items() if n.startswith("vis")},
    )
    assert image_encoder(str(folder)).tower is not None
    assert "text_model.embeddings.position_embedding.weight" in told(text_encoder, folder)


def test_tied_weights_may_be_stored_under_either_name(copied):
    """Of two names for one tensor a file has one, and which depends on who wrote it."""
    folder = copied("blip")
    words = "text_decoder.bert.embeddings.word_embeddings.weight"
    same = "text_decoder.cls.predictions.decoder.weight"
    edit_weights(
        folder, lambda tensors: {same if n == words else n: value for n, value in tensors.items()}
    )
    assert captioner(folder).name == "blip"


def test_what_no_captioner_needs_may_be_missing(copied, tiny, photos):
    """Weights that make one vector of an image are not there in TrOCR and others like ViT-GPT2."""
    folder = copied("vit-gpt2")
    edit_weights(
        folder,
        lambda tensors: {name: value for name, value in tensors.items() if "pooler" not in name},
    )
    captions = []
    for model in (captioner(folder), captioner(tiny("vit-gpt2"))):
        items = [model.prepare(photo) for photo in photos]
        captions.append(model.captions(items, list("abcdef"), Generation(max_new_tokens=8)))
    assert captions[0] == captions[1]


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        *((kind, captioner) for kind in CAPTIONERS),
        *((kind, text_encoder) for kind in ("clip", "siglip", "siglip2")),
    ],
)
def test_a_missing_tokenizer_is_told(kind, make, copied):
    """Without its files a model gets no tokenizer of a few tokens, whatever transformers makes."""
    folder = copied(kind)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert NO_TOKENIZER.format(kind) in told(make, folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [lambda _: POINTER, lambda whole: whole[: len(whole) // 2]])
def test_damaged_files_are_told(name, content, copied):
    """A pointer of Git LFS in a file's place, or half a file, is named as what it may be."""
    path = copied("clip") / name
    path.write_bytes(content(path.read_bytes()))
    assert DAMAGED.format("clip") in told(text_encoder, path.parent)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("[1]", "must hold a JSON object, not a list"),
        ("{", "cannot be read: "),
        ("[" * 100_000, "cannot be read: "),
        ('{"weight_map": 1}', "is damaged: it has no `weight_map`"),
        ('{"weight_map": {"a": 1}}', "is damaged: it has no `weight_map`"),
        ('{"weight_map": {"a": "../private.safetensors"}}', "names '../private.safetensors', "),
        (
            '{"weight_map": {"a": "model-2.safetensors"}}',
            "names 'model-2.safetensors', which is no",
        ),
    ],
)
def test_a_damaged_list_of_weights_is_told(listing, message, copied):
    """It names files beside it, and none elsewhere."""
    folder = copied("clip")
    (folder / "model.safetensors.index.json").write_text(listing)
    text = told(image_encoder, folder)
    assert text.startswith(f"Model file {folder}/model.safetensors.index.json {message}")


@pytest.mark.parametrize("make", [image_encoder, captioner])
def test_code_of_a_model_is_not_run(make, copied):
    """A model that comes with code of its own is refused, with what to use instead."""
    folder = copied("clip")
    code = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    edit_config(folder, model_type="own", auto_map=code)
    message = told(make, folder)
    assert "it needs code that comes with it, and code from a repository is not run." in message
    assert "trust_remote_code" not in message


def test_a_kind_that_does_not_embed(tiny):
    """A model that has no class for the step is refused with what to do first."""
    assert told(image_encoder, tiny("vit-gpt2")).startswith(
        "Model 'vit-gpt2' cannot be loaded: it is of no kind that this step can use: choose "
        "another one. (Unrecognized configuration class"
    )


def test_blip_2_without_a_place_for_the_image(copied):
    """Early configurations of BLIP-2 do not say which token stands for the image."""
    folder = copied("blip-2")
    edit_config(folder, image_token_index=None)
    assert told(captioner, folder) == (
        "Model 'blip-2': its config.json has no image_token_index, the token that stands for the "
        "image; use a newer revision of the model, which has it."
    )
