"""CLIP scores are the cosines of image and text, whatever the way of running the model."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from fondant_spec.toolkit.models.clip_score import ClipScore
from fondant_spec.toolkit.models.device import Placement
from fondant_spec.toolkit.models.embedders import image_encoder

TEXTS = ["a photo of a cat", "two boats on a lake", "red"]
CPU = torch.device("cpu")


def test_a_model_that_strays_scores_in_fp32(tiny, photos, monkeypatch):
    """Both towers fall back to fp32, from weights as they were stored."""
    monkeypatch.setattr("fondant_spec.toolkit.models.runner.LEAST_COSINE", 1.1)
    folder = str(tiny("clip"))
    scorer = ClipScore(folder, None, Placement(CPU, "bf16"))
    items = [scorer.prepare(photo) for photo in photos[: len(TEXTS)]]
    assert scorer.scores(items, TEXTS) == pytest.approx(plain_scores(folder, items), abs=1e-5)


def test_the_model_is_told(tiny):
    """What ranks captions is recorded with its revision: a digest, for a folder."""
    told = ClipScore(str(tiny("clip")), None, Placement(CPU, "fp32")).metadata()
    assert told == {
        "clip_model_id": "clip",
        "clip_revision": image_encoder(str(tiny("clip"))).revision,
    }


def plain_scores(folder, items):
    """Return the scores by the plain transformers model, of images that are prepared already."""
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = image_encoder(folder)
    with torch.inference_mode():
        images = encoder.tower(**encoder.collate(items))
        texts = [
            model.get_text_features(**tokenizer(text, return_tensors="pt")).pooler_output[0]
            for text in TEXTS
        ]
    return torch.cosine_similarity(images, torch.stack(texts)).tolist()
