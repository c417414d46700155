"""One CLIP model under its many names, and the refusal of an index of another."""

import logging

import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import IndexInfo
from image_toolkit.retrieval.search.index_models import (
    check_index_fits,
    clip_retrieval_name,
    same_model,
)


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
    assert same_model(one, other)
    assert same_model(other, one)


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
    assert not same_model(one, other)


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
    assert same_model(model_id, name)


@pytest.mark.parametrize(
    ("index", "field", "message"),
    [
        (
            IndexInfo("x.index", "f", 512, 10, "ViT-B/32"),
            {"model_id": "openai/clip-vit-large-patch14", "dimension": 768},
            (
                "x.index: this index holds vectors of 'ViT-B/32', 512 dimensions, but the field "
                "`embedding` holds vectors of 'openai/clip-vit-large-patch14', 768 dimensions. "
                "Embed "
                "the seeds with the index's model, or use an index made with theirs."
            ),
        ),
        (
            IndexInfo("x.index", "f", 512, 10),
            {"dimension": 768},
            (
                "x.index: this index holds vectors of an unnamed model, 512 dimensions, but the "
                "field "
                "`embedding` holds vectors of an unnamed model, 768 dimensions. Embed the seeds "
                "with "
                "the index's model, or use an index made with theirs."
            ),
        ),
    ],
)
def test_another_model_is_refused(index: IndexInfo, field: dict[str, object], message: str) -> None:
    """An index of another model or dimension is refused, both being named."""
    with pytest.raises(InputDataError) as error:
        check_index_fits(index, field)

    assert str(error.value) == message


def test_the_users_word_counts_where_the_index_is_silent() -> None:
    """index_model_id stands in for an index that does not name its model."""
    field = {"model_id": "openai/clip-vit-base-patch32", "dimension": 512}
    check_index_fits(IndexInfo("x", "f", 512, 10), field, "ViT-B/32")

    with pytest.raises(InputDataError, match="'ViT-L/14'"):
        check_index_fits(IndexInfo("x", "f", 512, 10), field, "ViT-L/14")


def test_an_unknown_model_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody knows whether the models match, the log says so."""
    with caplog.at_level(logging.WARNING):
        check_index_fits(IndexInfo("x", "f", 512, 10), {"model_id": "m", "dimension": 512})

    assert "name the index's with index_model_id" in caplog.text
