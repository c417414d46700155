"""One CLIP model under many names, and two under one: weights decide where they are known."""

import shutil
from pathlib import Path

import pytest

from demo.tiny_models import CLIP_FOLDER
from image_toolkit.retrieval.search.model_identity import (
    ModelIdentity,
    clip_retrieval_name,
    identify,
    same_model,
    same_name,
)
from tests.image_toolkit.retrieval.clip_models import another_clip

CLIP = "openai/clip-vit-base-patch32"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("openai/clip-vit-base-patch32", "ViT-B/32"),
        ("openai/clip-vit-large-patch14", "ViT-L/14"),
        ("openai/clip-vit-large-patch14-336", "ViT-L/14@336px"),
        ("patrickjohncyh/fashion-clip", "hf_clip:patrickjohncyh/fashion-clip"),
        ("open_clip:ViT-H-14/laion2b_s32b_b79k", "open_clip:ViT-H-14"),
        ("open_clip:ViT-H-14/laion2b_s32b_b79k", "open_clip:ViT-H-14/laion2b_s32b_b79k"),
        ("/data/models/clip", "hf_clip:/mnt/inputs/clip/"),
        ("clip", "hf_clip:demo/models/clip"),
    ],
)
def test_names_of_one_model(one: str, other: str) -> None:
    """A model is recognised under the names of the hub, of OpenAI, open_clip and clip-retrieval."""
    assert same_name(one, other)
    assert same_name(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("openai/clip-vit-base-patch32", "ViT-L/14"),
        ("open_clip:ViT-H-14/laion2b_s32b_b79k", "open_clip:ViT-H-14/dfn5b"),
        ("open_clip:ViT-B-32", "ViT-B/32"),
        ("/data/models/clip", "/data/models/blip"),
        ("clip", "hf_clip:demo/models/blip"),
    ],
)
def test_names_of_two_models(one: str, other: str) -> None:
    """Another architecture, pretraining or folder is another model."""
    assert not same_name(one, other)


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("openai/clip-vit-base-patch32", "ViT-B/32"),
        ("openai/clip-vit-large-patch14-336", "ViT-L/14@336px"),
        ("open_clip:ViT-H-14", "open_clip:ViT-H-14"),
        ("/models/clip", "hf_clip:/models/clip"),
    ],
)
def test_name_for_clip_retrieval(model_id: str, name: str) -> None:
    """Indexes that are built name their model in the way in which clip-retrieval loads it."""
    assert clip_retrieval_name(model_id) == name
    assert same_name(model_id, name)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ModelIdentity("clip", None, "sha256:a"), ModelIdentity("copy", None, "sha256:a"), True),
        (ModelIdentity("clip", None, "sha256:a"), ModelIdentity("clip", None, "sha256:b"), False),
        (ModelIdentity(CLIP, "1", "sha256:a"), ModelIdentity(CLIP, "2", "sha256:b"), False),
        (ModelIdentity(CLIP, "1", "sha256:a"), ModelIdentity(CLIP, "2", "sha256:a"), True),
        (ModelIdentity(None, None, "sha256:a"), ModelIdentity(CLIP, None, "sha256:a"), True),
        (ModelIdentity("ViT-B/32"), ModelIdentity(CLIP, "1", "sha256:a"), True),
        (ModelIdentity(CLIP, "1"), ModelIdentity(CLIP, "1"), True),
        (ModelIdentity(CLIP, "1"), ModelIdentity(CLIP, "2"), None),
        (ModelIdentity("ViT-L/14"), ModelIdentity(CLIP), False),
        (ModelIdentity("hf_clip:/data/clip"), ModelIdentity("clip", None, "sha256:a"), None),
        (ModelIdentity("hf_clip:demo/models/clip"), ModelIdentity("clip"), None),
        (ModelIdentity("/data/clip"), ModelIdentity(CLIP), None),
        (ModelIdentity(None, None, "sha256:a"), ModelIdentity(CLIP), None),
    ],
)
def test_content_decides(one: ModelIdentity, other: ModelIdentity, *, same: bool | None) -> None:
    """Weights before names, names only where they are the world's, and a folder's never."""
    assert same_model(one, other) is same
    assert same_model(other, one) is same


def test_a_copy_is_the_same_model(tmp_path: Path) -> None:
    """A model is known wherever it lies; another in a folder of the same name is another."""
    copy = shutil.copytree(CLIP_FOLDER, tmp_path / "elsewhere" / "renamed")
    other = another_clip(tmp_path / "clip")

    own = identify(str(CLIP_FOLDER))

    assert own.weights is not None
    assert own.weights.startswith("sha256:")
    assert same_model(own, identify(f"hf_clip:{copy}"))
    assert same_model(own, identify(str(own.weights)))
    assert same_model(own, identify(str(other))) is False
    assert identify("nobody/has-this") == ModelIdentity("nobody/has-this")
