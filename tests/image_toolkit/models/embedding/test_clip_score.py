"""CLIP scores are the cosines of image and text, however the model is run."""

import math

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from image_toolkit.models.embedding.clip_score import ClipScore
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.runtime.device import Placement
from tests.tiny_models import NEEDS_BF16

TEXTS = ["a photo of a cat", "two boats on a lake", "red"]
CPU = torch.device("cpu")


@NEEDS_BF16
def test_a_model_that_strays_scores_in_fp32(tiny, photos, monkeypatch):
    """Both towers fall back to fp32, from weights as they were stored."""
    monkeypatch.setattr("image_toolkit.models.runtime.model_runner.LEAST_COSINE", 1.1)
    folder = str(tiny("clip"))
    scorer = ClipScore(folder, None, Placement(CPU, "bf16"))
    items = [scorer.prepare(photo) for photo in photos[: len(TEXTS)]]
    assert scorer.scores(scorer.vectors(items), TEXTS) == pytest.approx(
        plain_scores(folder, items), abs=1e-5
    )


def test_what_does_not_fit_has_no_score(tiny, photos):
    """An image or a text that the memory does not suffice for costs its own score, and no other."""
    scorer = ClipScore(str(tiny("clip")), None, Placement(CPU, "fp32"))
    items = [scorer.prepare(photo) for photo in photos[: len(TEXTS)]]
    whole = scorer.scores(scorer.vectors(items), TEXTS)

    red = scorer._texts.encoder.collate(["red"])["input_ids"][0, 1]

    def hungry(_module, _inputs, keywords):
        if red in keywords["input_ids"][:, 1]:
            torch.empty(1 << 58)

    scorer._texts.encoder.tower.register_forward_pre_hook(hungry, with_kwargs=True)
    scores = scorer.scores([None, *scorer.vectors(items[1:])], TEXTS)
    assert [math.isnan(score) for score in scores] == [True, False, True]
    assert scores[1] == pytest.approx(whole[1], abs=1e-5)


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
