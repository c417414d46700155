"""Text embedding, run as runners run it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import run_component
from tests.tiny_models import make_model

COMPONENT = Path(__file__).parents[1]
TEXTS = ["a photo of a cat", "two boats on a lake", "a red house"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP."""
    return make_model("clip", tmp_path_factory.mktemp("models") / "tiny-clip")


def test_vectors_are_those_of_the_model(clip, tmp_path):
    """Texts come out as unit vectors in the space of the images."""
    result = run_component(COMPONENT, pa.table({"text": TEXTS}), tmp_path, model_id=str(clip))
    ours = np.stack(result.table["embedding"].to_numpy())
    model, tokenizer = AutoModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    with torch.inference_mode():
        tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
        exact = model.get_text_features(**tokens).pooler_output
    exact = torch.nn.functional.normalize(exact, dim=-1).numpy()
    assert (ours * exact).sum(-1).min() >= 0.999
    metadata = result.manifest.fields["embedding"].metadata
    assert (metadata["modality"], metadata["dimension"]) == ("text", 16)


def test_texts_without_words_are_rejects(clip, tmp_path):
    """Null and blank texts are rejects with a reason."""
    table = pa.table({"text": [None, "a cat", " \n", "\u200b\ufeff\u00ad"]})
    result = run_component(
        COMPONENT, table, tmp_path, model_id=str(clip), options={"max_reject_share": "1"}
    )
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["1"]
    reasons = [row["reason"] for row in result.rejects.to_pylist()]
    assert reasons == ["missing", "empty_text", "empty_text"]


LONG = " ".join(["a red boat on a blue lake"] * 43)


def test_texts_that_are_cut_are_told(clip, tmp_path, caplog):
    """A text of more tokens than the model reads is counted by its tokenizer, and told."""
    table = pa.table({"text": [f"{LONG} cat", "a cat", f"{LONG} dog", "a " * 74 + "b"]})
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        model_id=str(clip),
        options={"produces": '{"text_tokens": "int32"}'},
    )
    own = AutoTokenizer.from_pretrained(clip)
    exact = [len(own(text)["input_ids"]) for text in table["text"].to_pylist()]
    assert result.table["text_tokens"].to_pylist() == exact
    assert exact[3] == 77
    told = [record.getMessage() for record in caplog.records if "ends" in record.getMessage()]
    assert told[0].startswith("2 of 4 texts are longer than the 77 tokens that ")
    assert f"up to {max(exact)}:" in told[0]


def test_texts_that_would_be_cut_can_be_rejects(clip, tmp_path):
    """With `long_texts` a text is embedded whole or not at all."""
    result = run_component(
        COMPONENT,
        pa.table({"text": [LONG, "a cat"]}),
        tmp_path,
        model_id=str(clip),
        long_texts="reject",
        options={"max_reject_share": "1"},
    )
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["1"]
    assert [row["reason"] for row in result.rejects.to_pylist()] == ["text_too_long"]
    assert "303 tokens" in result.rejects["message"][0].as_py()


def test_there_is_no_other_field(clip, tmp_path):
    """A field that the component does not know is refused by name."""
    with pytest.raises(InvalidArgumentError, match="no field 'tokens'; there is text_tokens"):
        run_component(
            COMPONENT,
            pa.table({"text": TEXTS}),
            tmp_path,
            model_id=str(clip),
            options={"produces": '{"tokens": "int32"}'},
        )
