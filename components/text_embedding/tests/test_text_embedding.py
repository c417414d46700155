"""Text embedding, run as runners run it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

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
    table = pa.table({"text": [None, "a cat", " \n"]})
    result = run_component(
        COMPONENT, table, tmp_path, model_id=str(clip), options={"max_reject_share": "1"}
    )
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["1"]
    assert [row["reason"] for row in result.rejects.to_pylist()] == ["missing", "empty_text"]
