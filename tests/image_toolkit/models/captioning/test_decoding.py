"""Captions decoded here are those of transformers' `generate`: each token of each image."""

import shutil
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    BlipConfig,
    BlipForConditionalGeneration,
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from demo import BLIP_FOLDER
from demo.photos import PHOTOS, load
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.decoding import caption_decoder, kind
from image_toolkit.models.captioning.decoding.caption_decoder import CaptionDecoder
from image_toolkit.models.captioning.decoding.families import family_of
from image_toolkit.models.captioning.decoding.family import SpecialTokens
from image_toolkit.models.captioning.decoding.rules import Clock, Rules
from image_toolkit.models.captioning.decoding.token_gap import largest_gap
from image_toolkit.models.captioning.decoding.token_step import Step
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.generation import Generation, RowSampling, lots_of
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime import checked_versions
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
from tests.image_toolkit.models.conftest import jpeg

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here"),
    ],
)
on_each_device = pytest.mark.parametrize("device", ["cpu", GPU])
on_a_gpu = pytest.mark.parametrize("device", [GPU])
FEW = Generation(max_new_tokens=20, no_repeat_ngram_size=0)
WAYS = {
    "greedy": {},
    "beams": {"num_beams": 4, "candidates": 2},
    "many beams": {"num_beams": 7},
    "drawn": {"sample": True, "candidates": 3, "seed": 3},
    "drawn from few": {"sample": True, "temperature": 0.6, "top_p": 0.5},
}
RULES = {
    "none": {},
    "n-grams": {"no_repeat_ngram_size": 2},
    "words": {"no_repeat_ngram_size": 1},
    "penalty": {"repetition_penalty": 1.4, "no_repeat_ngram_size": 3},
    "reward": {"repetition_penalty": 0.8},
    "at least": {"min_new_tokens": 14},
    "all": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 9},
    "short": {"max_new_tokens": 3, "min_new_tokens": 2},
    "one": {"max_new_tokens": 1, "min_new_tokens": 1},
}
EVERY = [
    pytest.param(replace(FEW, **way, **rule), id=f"{name}, {which}")
    for (name, way), (which, rule) in product(WAYS.items(), RULES.items())
]
SOME = [
    pytest.param(replace(FEW, **WAYS[name], **RULES["all"]), id=name)
    for name in ("greedy", "beams", "drawn")
]


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """Return the demo's photographs, and a part of each: the captions end at all lengths."""
    whole = [load(photo.subject) for photo in PHOTOS]
    parts = [one.crop((0, 0, one.width // 2, one.height // 2)) for one in whole]
    return [jpeg(one) for one in [*whole, *parts]]


@cache
def captioner(folder: Path, device: str, prompt: str | None = None) -> LocalCaptioner:
    """Return a captioner in fp32."""
    placement = Placement(torch.device(device), "fp32")
    model = LocalCaptioner(find_model(str(folder)), placement, prompt)
    if model._decoder is None:  # of a version of transformers that is not checked
        model._decoder = CaptionDecoder(family_of(model._model), placement)
    return model


@cache
def plain(folder: Path, device: str):
    """Return the model as transformers has it."""
    return AutoModelForImageTextToText.from_pretrained(folder).eval().to(device)


def theirs(model, folder, device, items, generation):
    """Return the tokens that the plain model generates, and how many are the prompt's."""
    inputs = model._intake.arrived(model._intake.collate(items))
    there = {name: values.to(device) for name, values in inputs.items()}
    arguments = generation.arguments([f"{n}" for n in range(len(items))])
    with torch.inference_mode():
        return plain(folder, device).generate(**there, **arguments).cpu()


def ours(model, items, generation):
    """Return the tokens that are decoded here."""
    rows = [f"{n}" for n in range(len(items))]
    inputs = model._intake.collate(items)
    prompt = model._decoder.prompt(inputs)
    assert model._decoder.covers(prompt, generation)
    return model._tokens(inputs, rows, generation, 0)


def ended(model, tokens):
    """Return tokens up to the end of each caption: what fills up behind it is no part of it."""
    special = model._decoder._family.tokens
    rows = []
    for row in tokens.tolist():
        ends = [at for at, token in enumerate(row) if token in special.ends and at > 0]
        rows.append(row[: ends[0] + 1] if ends else row)
    return rows


def check_same(folder, device, pictures, generation, prompt=None):
    """Check that all tokens are those of transformers; return our captioner."""
    model = captioner(folder, device, prompt)
    items = [model.prepare(picture) for picture in pictures]
    wanted = ended(model, theirs(model, folder, device, items, generation))
    assert ended(model, ours(model, items, generation)) == wanted
    return model


@on_each_device
@pytest.mark.parametrize("generation", EVERY)
def test_trained_blip_says_the_same(generation, device, pictures):
    """In each way and by each rule, of images whose captions differ and end at all lengths."""
    check_same(BLIP_FOLDER, device, pictures, generation)


@on_each_device
@pytest.mark.parametrize("generation", SOME)
@pytest.mark.parametrize("prompt", ["a photo of", "a close-up of a black and white cat"])
def test_trained_blip_goes_on_the_same(prompt, generation, device, pictures):
    """Behind a prompt, whose words count for the rules."""
    check_same(BLIP_FOLDER, device, pictures, generation, prompt)


@on_each_device
@pytest.mark.parametrize("generation", EVERY[::4])
@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("blip", None),
        ("blip", "a photo of"),
        ("florence2", None),
        ("florence2", "<MORE_DETAILED_CAPTION>"),
    ],
)
def test_each_family_says_the_same(name, prompt, generation, device, tiny, photos):
    """Models that know nothing say long things."""
    check_same(tiny(name), device, photos, generation, prompt)


@on_each_device
def test_an_image_tower_may_be_wider(device, tiny, photos, tmp_path):
    """That of BLIP large is wider than its text decoder."""
    folder = tmp_path / "blip"
    shutil.copytree(tiny("blip"), folder)
    config = BlipConfig.from_pretrained(folder)
    config.vision_config.hidden_size = config.text_config.encoder_hidden_size = 48
    BlipForConditionalGeneration(config).save_pretrained(folder)
    for way in ("greedy", "beams"):
        check_same(folder, device, photos, replace(FEW, **WAYS[way]))


@on_each_device
def test_forced_tokens_come_first_and_last(device, tiny, photos, monkeypatch):
    """Real models of Florence-2 ask for both."""
    folder = tiny("florence2")
    model = captioner(folder, device)
    for config in (model._model.generation_config, plain(folder, device).generation_config):
        monkeypatch.setattr(config, "forced_bos_token_id", 7)
        monkeypatch.setattr(config, "forced_eos_token_id", 3)
    decoder = CaptionDecoder(family_of(model._model), model.placement)
    monkeypatch.setattr(model, "_decoder", decoder)
    items = [model.prepare(photo) for photo in photos]
    for way in ({}, {"num_beams": 3}):
        tokens = ours(model, items, replace(FEW, **way))
        assert ended(model, tokens) == ended(
            model, theirs(model, folder, device, items, replace(FEW, **way))
        )
        assert {row[1] for row in tokens.tolist()} == {7}


@on_each_device
def test_odd_batches_one_after_the_other(device, pictures):
    """Memory that is kept from batch to batch has nothing of the last one in it."""
    for count, name in [(5, "beams"), (1, "greedy"), (13, "beams"), (3, "drawn"), (9, "greedy")]:
        some = pictures[count : 2 * count]
        check_same(BLIP_FOLDER, device, some, replace(FEW, **WAYS[name], **RULES["penalty"]))


@on_each_device
def test_images_that_are_done_leave(device, pictures, monkeypatch):
    """The others go on in a smaller step, where they had been: their captions are the same."""
    sizes = []
    narrow = kind.Kind._narrow

    def spied(self, images, places):
        sizes.append((images, len(places)))
        return narrow(self, images, places)

    monkeypatch.setattr(kind.Kind, "_narrow", spied)
    for name in ("greedy", "beams", "drawn"):
        generation = replace(FEW, **WAYS[name], max_new_tokens=40)
        sizes.clear()
        check_same(BLIP_FOLDER, device, pictures, generation)
        assert sizes
        assert all(images >= places for images, places in sizes)


@on_each_device
def test_first_logits_are_those_of_the_model(device, tiny, photos):
    """They are what the start of a step compares."""
    for name in ("blip", "florence2"):
        model = captioner(tiny(name), device)
        items = [model.prepare(photo) for photo in photos]
        decoder, model._decoder = model._decoder, None
        wanted = model.first_logits(items)
        model._decoder = decoder
        torch.testing.assert_close(model.first_logits(items), wanted, rtol=1e-4, atol=1e-4)


@on_each_device
def test_few_kinds_are_kept(device, photos, tiny):
    """Of ways, prompts and numbers of images, those that were used last."""
    model = captioner(tiny("blip"), device)
    items = [model.prepare(photo) for photo in photos]
    for tokens in (4, 20, 36, 52, 68, 84):
        ours(model, items, replace(FEW, max_new_tokens=tokens))
    kinds = model._decoder._kinds
    assert [key[0].max_new_tokens for key in kinds] == [36, 52, 68, 84]
    memories = {id(one.images) for one in kinds.values()}
    assert len(memories) == 1  # the keys of images, the most of all, are shared


@on_each_device
def test_want_of_memory_lets_go_of_all(device, pictures, monkeypatch):
    """It is told as such, and a smaller batch goes through afterwards."""
    model = captioner(BLIP_FOLDER, device)
    items = [model.prepare(picture) for picture in pictures]
    ours(model, items[:3], FEW)
    take = caption_decoder.Kind.decode

    def hungry(self, seen, *arguments):
        if len(seen) > 4:
            torch.empty(1 << 58, device=device)
        return take(self, seen, *arguments)

    monkeypatch.setattr(caption_decoder.Kind, "decode", hungry)
    with pytest.raises(RuntimeError, match=r"(?i)out of memory|not enough memory|can't allocate"):
        ours(model, items, FEW)
    assert not model._decoder._kinds
    check_same(BLIP_FOLDER, device, pictures[:4], FEW)


@on_each_device
def test_what_is_not_covered_is_generated(device, tiny, photos, caplog):
    """It is said once why, and captions are made all the same."""
    caplog.set_level("INFO")
    caption_decoder.tell_why.cache_clear()
    model = captioner(tiny("blip"), device)
    items = [model.prepare(photo) for photo in photos[:2]]
    assert model._decoder.covers([4], replace(FEW, max_new_tokens=511))
    assert not model._decoder.covers([4], replace(FEW, max_new_tokens=512))
    for _ in range(2):
        made = model.captions(items, ["a", "b"], FEW, ["a [PAD] photo"] * 2)
        assert all(texts[0] for texts in made)
    told = "Captions come from transformers' generate, which is slower: "
    assert [one.message for one in caplog.records if one.message.startswith(told)] == [
        f"{told}the model knows texts of 512 tokens at most.",
        f"{told}a prompt has the token that stands for nothing.",
    ]


def astray(self, values):
    """Stand in for a part of a step that does something else by now."""
    return values.unflatten(-1, (self._text.heads, -1)).transpose(1, 2).flip(-1) * 99


@pytest.mark.parametrize("name", ["blip", "florence2"])
def test_a_decoder_that_strays_is_not_used(name, tiny, caplog, monkeypatch):
    """It is found at the start, said in one line, and captions are those of `generate`."""
    monkeypatch.setattr(checked_versions, "_known_to_fail", [])
    models = CaptionModels(model_id=str(tiny(name)), device="cpu", precision="fp32")
    sound = models.start([Ask(FEW)], Choice(), Frame(), [])._writers[0].captioner
    assert sound._decoder is not None
    monkeypatch.setattr(Step, "_by_head", astray)
    other = models.start([Ask(FEW)], Choice(), Frame(), [])._writers[0].captioner
    assert other._decoder is None
    (record,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "deviations from the likeliest" in record.message


def test_a_gap_is_that_of_the_first_other_word():
    """What comes after it is of another text, and what is the same has none."""
    scores = [torch.tensor([[0.0, 3.0, 1.0, 2.0]]), torch.tensor([[9.0, 1.0, 2.0, 3.0]])]
    theirs = torch.tensor([[5, 1, 0]])
    assert largest_gap(torch.tensor([[5, 1, 0]]), theirs, scores) == 0
    assert largest_gap(torch.tensor([[5, 3, 1]]), theirs, scores) == pytest.approx(0.7746, abs=1e-4)
    assert largest_gap(torch.tensor([[5, 1, 3]]), theirs, scores) > 1


def test_lots_come_as_they_do_one_by_one():
    """The numbers of a row are those that it would get a token at a time."""
    sampling = RowSampling([7, 2**52 + 1], 1.0, 1.0)
    one_by_one = [
        torch.cat([torch.rand(1, generator=own) for own in sampling._generators]) for _ in range(40)
    ]
    assert torch.equal(lots_of([7, 2**52 + 1], 40), torch.stack(one_by_one, 1))


@on_each_device
@pytest.mark.parametrize("prompt", [1, 4])
@pytest.mark.parametrize("ngram", [0, 1, 2, 3, 9])
def test_rules_are_those_of_transformers(ngram, prompt, device):
    """Over texts of few words, which repeat themselves all the time."""
    random = torch.Generator().manual_seed(ngram)
    vocabulary, rows, end = 6, 32, prompt + 12
    tokens = torch.randint(0, vocabulary, (rows, 16), generator=random).to(device)
    generation = Generation(
        max_new_tokens=12, min_new_tokens=5, no_repeat_ngram_size=ngram, repetition_penalty=1.7
    )
    special = SpecialTokens(ends=(2, 4), padding=0, first=(3,), last=(2,))
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.7),
            *([NoRepeatNGramLogitsProcessor(ngram)] if ngram else []),
            MinNewTokensLengthLogitsProcessor(
                prompt, 5, torch.tensor([2, 4], device=device), device
            ),
            ForcedBOSTokenLogitsProcessor(3),
            ForcedEOSTokenLogitsProcessor(end, [2], device),
        ]
    )
    clock = Clock.on(torch.device(device))
    clock.set(prompt, end)
    rules = Rules(generation, special, vocabulary, clock)
    for known in range(prompt, end):
        scores = torch.randn(rows, vocabulary, generator=random).to(device)
        wanted = processors(tokens[:, :known], scores.clone())
        assert torch.equal(rules(scores, tokens), wanted), known
        clock.last.add_(1)


@on_a_gpu
def test_graphs_are_few_and_given_back(device, pictures):
    """One for each kind and size, and none is left when memory is let go."""
    model = captioner(BLIP_FOLDER, device)
    decoder = model._decoder
    items = [model.prepare(picture) for picture in pictures]
    ours(model, items, FEW)  # libraries keep some memory for a stream
    decoder.forget()
    before = torch.cuda.memory_allocated()
    for count in (3, 8, 9, 16, 17, 32):
        ours(model, items[:count], FEW)
    sizes = [size for one in decoder._kinds.values() for size in one._sized]
    assert set(sizes) <= {8, 16, 32}
    assert 1 <= len(decoder._graphs._live) <= len(sizes)
    decoder.forget()
    assert not decoder._graphs._live
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + 2**20


@on_a_gpu
def test_real_want_of_memory_halves(device, pictures):
    """Also while a graph is captured: it is told as such, and the batch goes on in halves."""
    model = captioner(BLIP_FOLDER, device)
    items = [model.prepare(picture) for picture in pictures] * 64
    wanted = ended(model, theirs(model, BLIP_FOLDER, device, items[:32], FEW))
    model._decoder.forget()
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / whole)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            ours(model, items, FEW)
        torch.cuda.empty_cache()
        assert ended(model, ours(model, items[:32], FEW)) == wanted
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@on_a_gpu
@pytest.mark.parametrize("name", ["blip", "florence2", "git"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_start_on_a_gpu_takes_the_decoder(device, name, precision, tiny, photos, caplog):
    """Where the family is known; with it, and without, nothing strays."""
    models = CaptionModels(model_id=str(tiny(name)), device=device, precision=precision)
    asks = [Ask(replace(FEW, **way)) for way in ({}, {"num_beams": 3}, {"sample": True})]
    captioning = models.start(asks[:1], Choice(), Frame(), [])
    writer = captioning._writers[0].captioner
    writer.check_decoder([ask.generation for ask in asks])
    known = name != "git" and checked_versions.private_parts_usable("transformers")
    assert (writer._decoder is not None) == known
    assert "deviations from the likeliest" not in caplog.text
    items = [writer.prepare(photo) for photo in photos]
    for ask in asks:
        made = writer.captions(items, [f"{n}" for n in range(len(items))], ask.generation)
        assert len(made) == len(items)
    captioning.close()
