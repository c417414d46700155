"""Models of open_clip, where the package is installed; without it, what is missing is told."""

import importlib.util
import io

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from fondant_spec.errors import InputDataError, MissingDependencyError
from image_toolkit.models.embedding.embedders import image_encoder, stripped, text_encoder
from tests.hub_server import REPOSITORY, hub_of

installed = importlib.util.find_spec("open_clip") is not None
needs_it = pytest.mark.skipif(not installed, reason="open_clip is an extra")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a model of open_clip, and its weights as a safetensors file."""
    import open_clip  # noqa: PLC0415

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-S-32-alt").eval()
    path = tmp_path_factory.mktemp("open_clip") / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return model, path


@needs_it
def test_images(weights, photos):
    """Images have the vectors that open_clip's own transform and model give."""
    from open_clip import image_transform  # noqa: PLC0415

    model, path = weights
    encoder = image_encoder(f"open_clip:ViT-S-32-alt/{path}")
    transform = image_transform(model.visual.image_size, is_train=False)
    images = [transform(Image.open(io.BytesIO(photo))) for photo in photos]
    with torch.inference_mode():
        exact = model.encode_image(torch.stack(images))
        ours = encoder.tower(**encoder.collate([encoder.prepare(photo) for photo in photos]))
    assert torch.cosine_similarity(ours, exact).min() >= 0.999
    assert encoder.revision.startswith("sha256:")


@needs_it
@pytest.mark.parametrize("of", ["a tag", "a file"])
def test_images_are_prepared_as_those_of_the_training(weights, photos, tmp_path, monkeypatch, of):
    """What open_clip says of a tag's images (SigLIP's are squashed) is done; of a file's, too."""
    import open_clip  # noqa: PLC0415

    model, path = weights
    told = {
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.4),
        "interpolation": "bilinear",
        "resize_mode": "squash",
    }
    tags = {"mine": {"url": "", "hf_hub": f"{REPOSITORY}/", **told}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-S-32-alt", tags)
    with hub_of(tmp_path, monkeypatch) as hub:
        hub.write("open_clip_model.safetensors", path.read_bytes())
        encoder = image_encoder(f"open_clip:ViT-S-32-alt/{'mine' if of == 'a tag' else path}")
    transform = open_clip.image_transform(model.visual.image_size, is_train=False, **told)
    images = [transform(Image.open(io.BytesIO(photo))) for photo in photos]
    with torch.inference_mode():
        exact = model.encode_image(torch.stack(images))
        ours = encoder.tower(**encoder.collate([encoder.prepare(photo) for photo in photos]))
    assert torch.cosine_similarity(ours, exact).min() >= 0.999


@needs_it
def test_texts(weights):
    """Texts have the vectors that open_clip's own tokenizer and model give."""
    import open_clip  # noqa: PLC0415

    model, path = weights
    texts = ["a photo of a cat", "two boats"]
    encoder = text_encoder(f"open_clip:ViT-S-32-alt/{path}")
    with torch.inference_mode():
        exact = model.encode_text(open_clip.get_tokenizer("ViT-S-32-alt")(texts))
        ours = encoder.tower(**encoder.collate([encoder.prepare(text) for text in texts]))
    np.testing.assert_allclose(ours, exact, atol=1e-5)
    assert encoder.tokens("a photo of a cat") == 7
    assert encoder.prepare is stripped


@needs_it
@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("open_clip:ViT-B-32", "Model 'open_clip:ViT-B-32': write open_clip:<model>/<pretrained>"),
        ("open_clip:ViT-B-32/none", "open_clip knows no such weights. For 'ViT-B-32': "),
        ("open_clip:RN50/yfcc15m", "open_clip"),
    ],
)
def test_wrong_names_are_told(model_id, message):
    """A name that open_clip does not know is told with those that it knows."""
    with pytest.raises(InputDataError) as caught:
        image_encoder(model_id)
    assert message in str(caught.value)


@pytest.mark.skipif(installed, reason="open_clip is installed")
def test_the_missing_package_is_named():
    """Without the package the message says which one to install."""
    with pytest.raises(MissingDependencyError, match="pip install open_clip_torch"):
        image_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k")
