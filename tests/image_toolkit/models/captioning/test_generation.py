"""Settings of generation: checked, merged with presets, and sampling that can be repeated."""

import math
from dataclasses import replace

import pytest
import torch

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.generation import (
    Generation,
    RowSampling,
    inverted,
)
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.captioning.presets import (
    Decoding,
    Sampling,
    make_generation,
    with_preset,
)
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
from tests.tiny_models import WORDS

CPU = torch.device("cpu")
STOP, CAT, TURN = 0, 1, 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens: must be at least 1."),
        (
            {"max_new_tokens": 5, "min_new_tokens": 6},
            "min_new_tokens: 6 is above max_new_tokens.",
        ),
        ({"num_beams": 0}, "num_beams: must be at least 1."),
        ({"repetition_penalty": 0.0}, "repetition_penalty: must be above 0; 1 is none."),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size: must be 0 (off) or more."),
        ({"temperature": 0.0}, "temperature: must be above 0."),
        ({"top_p": 1.4}, "top_p: must be above 0 and at most 1."),
        ({"candidates": 0}, "candidates: must be at least 1."),
        (
            {"candidates": 3},
            "candidates: 3 of them need sample, or as many num_beams.",
        ),
        (
            {"sample": True, "num_beams": 2},
            "sample: sampling with beams is not offered; set num_beams to 1.",
        ),
    ],
)
def test_contradictions_are_refused(settings, message):
    """A setting that makes no sense is named, with what it has to be."""
    with pytest.raises(InvalidArgumentError) as caught:
        Generation(**settings)
    assert str(caught.value) == message


def test_presets_are_those_of_the_recipes():
    """The presets hold the settings that were published, and what is given goes before them."""
    assert with_preset("everydream", Decoding()) == Decoding(48, 22, 16, 1.0, 0)
    report = with_preset("unsplash_report", Decoding(num_beams=4))
    assert report == Decoding(48, 30, 4, 1.4, 3)
    assert with_preset("unsplash_report", Frame("sks")) == Frame(
        "sks", suffix=", unsplash photography"
    )
    assert with_preset("unsplash_report", Frame(suffix="")) == Frame(suffix="")
    assert with_preset("none", Decoding(max_new_tokens=9)) == Decoding(max_new_tokens=9)


def test_settings_that_are_not_given_are_the_defaults():
    """What neither the user nor a preset gives is that of `Generation`."""
    assert make_generation(Decoding(), Sampling()) == Generation()
    assert make_generation(
        Decoding(max_new_tokens=9, retry_poor=False), Sampling(sample=True, seed=3)
    ) == Generation(max_new_tokens=9, retry_poor=False, sample=True, seed=3)


def test_stronger_settings_rule_out_pairs():
    """The second attempt forbids any pair of tokens to come twice, and searches wider."""
    stronger = Generation(repetition_penalty=1.1, min_new_tokens=5).stronger()
    assert stronger.no_repeat_ngram_size == 2
    assert (stronger.repetition_penalty, stronger.num_beams, stronger.min_new_tokens) == (1.5, 3, 5)
    assert Generation(sample=True).stronger().num_beams == 1


def test_seeds_are_of_the_row():
    """A row's random numbers depend on its id and the seed, not on its place."""
    generation = Generation(seed=1)
    assert generation.seeds(["a", "b"]) == generation.seeds(["b", "a"])[::-1]
    assert generation.seeds(["a"]) != Generation(seed=2).seeds(["a"])
    assert generation.seeds(["a"]) != generation.stronger().seeds(["a"])


def test_sampling_follows_the_probabilities():
    """Words are drawn as often as their probabilities say, and unlikely ones never."""
    rows = 4000
    scores = torch.tensor([0.6, 0.3, 0.1]).log().expand(rows, 3).clone()
    drawn = RowSampling(range(rows), temperature=1.0, top_p=0.85)(None, scores).argmax(-1)
    shares = torch.bincount(drawn, minlength=3) / rows
    assert shares[2] == 0
    assert shares[0].item() == pytest.approx(2 / 3, abs=0.03)


def test_sampling_is_the_same_in_any_batch():
    """A row draws the same words alone and among others."""
    scores = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    together = RowSampling([7, 8, 9], 1.0, 0.95)
    alone = RowSampling([8], 1.0, 0.95)
    for _ in range(5):
        assert together(None, scores).argmax(-1)[1] == alone(None, scores[1:2]).argmax(-1)[0]


def test_a_token_is_drawn_with_one_number():
    """A row takes one random number for each of its tokens, however many words there are."""
    sampling = RowSampling([7], 1.0, 0.95)
    sampling(None, torch.randn(1, 50))
    fresh = torch.Generator().manual_seed(7)
    _, second = torch.rand(1, generator=fresh), torch.rand(1, generator=fresh)
    assert torch.rand(1, generator=sampling._generators[0]) == second


@pytest.mark.parametrize(("lot", "token"), [(0.0, 1), (0.49, 1), (0.51, 3), (1.0, 1)])
def test_no_number_draws_what_is_ruled_out(lot, token):
    """At the borders too, a token that is left is drawn."""
    scores = torch.tensor([[0, 0.5, 0, 0.5, 0]]).log()
    assert inverted(scores, torch.tensor([[lot]])).item() == token


def test_what_the_question_says_is_no_repetition():
    """Neither rule against repetition counts tokens that are no part of the caption."""
    question_and_caption = torch.tensor([[STOP, TURN, STOP, CAT, STOP]])
    generation = Generation().stronger()
    processors = generation.arguments(["row"], ignored=2)["logits_processor"]
    scores = processors(question_and_caption, torch.ones(1, 4))[0].tolist()
    assert scores == pytest.approx([1 / 1.5, -math.inf, 1, 1])  # the end may follow "." again
    whole = generation.arguments(["row"])
    assert (whole["repetition_penalty"], whole["no_repeat_ngram_size"]) == (1.5, 2)
    assert "logits_processor" not in whole


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("kind", ["blip-2", "llava", "qwen2.5-vl", "smolvlm"])
def test_a_question_does_not_take_words_away(kind, sample, tiny, photos):
    """A model that answers may begin with any word of the question, whatever the penalty."""
    model = LocalCaptioner(find_model(str(tiny(kind))), Placement(CPU, "fp32"), " ".join(WORDS))
    items = [model.prepare(photo) for photo in photos]
    free = Generation(max_new_tokens=1, min_new_tokens=1, sample=sample, top_p=1.0)
    rows = [f"{n}" for n in range(len(items))]
    wanted = model.captions(items, rows, free)
    assert any(text for (text,) in wanted)
    assert model.captions(items, rows, replace(free, repetition_penalty=50.0)) == wanted
