"""An index of another model than the seeds', or of an unknown one, is refused."""

import logging

import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import IndexInfo
from image_toolkit.retrieval.search.index_models import check_index_fits
from image_toolkit.retrieval.search.model_identity import ModelIdentity


@pytest.mark.parametrize(
    ("index", "field", "message"),
    [
        (
            IndexInfo("x.index", "f", 512, 10, ModelIdentity("ViT-B/32")),
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


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "does not say which model made its vectors"),
        (ModelIdentity("hf_clip:/x/clip"), "says only that its model is called 'hf_clip:/x/clip'"),
    ],
)
def test_an_index_that_does_not_say_its_model_is_refused(
    model: ModelIdentity | None, said: str
) -> None:
    """The refusal has the way to say it, which then is taken."""
    index, field = IndexInfo("x", "f", 512, 10, model), {"model_id": "clip", "weights": "sha256:ab"}

    with pytest.raises(InputDataError) as error:
        check_index_fits(index, field)

    assert str(error.value) == (
        f"x: this index {said}, so it is not known whether that is the model of the field "
        "`embedding`, 'clip' (weights sha256:ab). If it is, say so with index_model_id='clip'; "
        "`fondant-spec index check INDEX --model MODEL` measures it with some of its own images."
    )
    check_index_fits(index, field, "clip")
    check_index_fits(index, field, "sha256:ab")
    with pytest.raises(InputDataError, match="holds vectors of 'sha256:ac'"):
        check_index_fits(index, field, "sha256:ac")


def test_seeds_that_do_not_say_their_model_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to compare, and the log says so."""
    with caplog.at_level(logging.WARNING):
        check_index_fits(
            IndexInfo("x", "f", 512, 10, ModelIdentity("ViT-B/32")), {"dimension": 512}
        )

    assert "not known which model made the seeds' vectors; the index's are of 'ViT-B/32'" in (
        caplog.text
    )
