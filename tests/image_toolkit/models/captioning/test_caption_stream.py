"""Which caption a row gets, with tiny models that fail, or are counted, where a test says so."""

import math

import pyarrow as pa
import pytest
import torch

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame, repeats
from image_toolkit.models.captioning.caption_writer import fittest
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.generation import Generation

RAMBLES = Generation(min_new_tokens=30, max_new_tokens=40, no_repeat_ngram_size=0)


@pytest.fixture
def start():
    """Return a function that starts captioning on the CPU; it is closed afterwards."""
    started = []

    def make(generation, **models):
        captioning = CaptionModels(**models, device="cpu", precision="fp32").start(
            [Ask(generation)], Choice(), Frame(), ["caption_source"]
        )
        started.append(captioning)
        return captioning

    yield make
    for captioning in started:
        captioning.close()


def captioned(captioning, photos):
    """Return the captions of photos and their sources."""
    ids = [f"{n}" for n in range(len(photos))]
    batch = pa.record_batch([pa.array(ids), pa.array(photos)], names=["id", "image"])
    (made,) = captioning.batches(iter([batch]), Rejects())
    return made["caption"].to_pylist(), made["caption_source"].to_pylist()


def test_a_second_attempt_that_fails_costs_nothing(start, tiny, photos):
    """Where the memory does not suffice for another attempt, the first caption stays."""
    captioning = start(RAMBLES, model_id=str(tiny("blip")))
    calls = []

    def hungry(_module, _inputs):
        calls.append(1)
        if len(calls) > 1:
            torch.empty(1 << 58)

    captioner = captioning._writers[0].captioner
    captioner._model.vision_model.register_forward_pre_hook(hungry)
    captions, sources = captioned(captioning, photos)
    assert len(captions) == len(photos)
    assert all(repeats(text) for text in captions)
    assert set(sources) == {"model"}
    assert len(calls) > len(photos)


def test_candidates_are_compared_a_group_at_a_time(start, tiny, photos):
    """CLIP sees an image once, and the candidates of all images of a batch together."""
    captioning = start(
        Generation(max_new_tokens=6, sample=True, candidates=3, retry_poor=False),
        model_id=str(tiny("blip")),
        clip_model_id=str(tiny("clip")),
    )
    scorer = captioning._writers[0].scorer
    seen = {}
    for tower in (scorer._images.encoder.tower, scorer._texts.encoder.tower):
        seen[tower] = []

        def count(module, _inputs, keywords):
            seen[module].append(len(next(iter(keywords.values()))))

        tower.register_forward_pre_hook(count, with_kwargs=True)
    captioned(captioning, photos)
    assert list(seen.values()) == [[len(photos)], [3 * len(photos), len(photos)]]


def test_a_candidate_without_a_score_is_not_taken():
    """One that CLIP could not see is taken only if it saw none."""
    assert fittest(["a", "b", "c"], [math.nan, -0.2, 0.1]) == "c"
    assert fittest(["a", "b"], [math.nan, math.nan]) == "a"
    assert fittest([], []) == ""
