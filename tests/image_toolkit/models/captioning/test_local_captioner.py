"""Captioners of each architecture, with tiny models."""

import shutil
from dataclasses import replace
from unittest.mock import patch
from weakref import WeakSet

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForImageTextToText

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.models.captioning import caption_models
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
from tests.tiny_models import BF16, INT8, NEEDS_BF16, NEEDS_VNNI

CPU = torch.device("cpu")
KINDS = ["blip", "blip-2", "git", "vit-gpt2", "florence2", "llava", "qwen2.5-vl", "smolvlm"]
LEADS_IN = ["blip", "git", "vit-gpt2"]
SHORT = Generation(max_new_tokens=8, min_new_tokens=4)


def captioner(folder, prompt=None, precision="fp32"):
    """Return a captioner on the CPU."""
    return LocalCaptioner(find_model(str(folder)), Placement(CPU, precision), prompt)


def captions(model, photos, generation=SHORT):
    """Return the candidates of a captioner for some photos."""
    rows = [f"{n}" for n in range(len(photos))]
    return model.captions([model.prepare(photo) for photo in photos], rows, generation)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", BF16, INT8])
def test_each_architecture_captions(kind, precision, tiny, photos):
    """Every architecture gives a text an image, the same in a batch and alone."""
    model = captioner(tiny(kind), precision=precision)
    together = captions(model, photos[:3])
    assert all(len(texts) == 1 and len(texts[0].split()) >= 2 for texts in together)
    if precision == "fp32":
        assert [captions(model, [photo])[0] for photo in photos[:3]] == together


@pytest.mark.parametrize("kind", KINDS)
def test_beams_give_candidates(kind, tiny, photos):
    """With beams, the best so many are returned for each image, and they differ."""
    generation = Generation(max_new_tokens=8, min_new_tokens=4, num_beams=4, candidates=2)
    for texts in captions(captioner(tiny(kind)), photos[:2], generation):
        assert len(set(texts)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_sampling_is_repeatable(kind, tiny, photos):
    """A sampled caption depends on the row and the seed, not on what else is in the batch."""
    model = captioner(tiny(kind))
    items = [model.prepare(photo) for photo in photos[:3]]
    generation = Generation(max_new_tokens=8, min_new_tokens=6, sample=True, candidates=2, seed=3)
    together = model.captions(items, ["a", "b", "c"], generation)
    assert model.captions(items[1:2], ["b"], generation)[0] == together[1]
    other = Generation(max_new_tokens=8, min_new_tokens=6, sample=True, candidates=2, seed=4)
    assert model.captions(items, ["a", "b", "c"], other) != together


@pytest.mark.parametrize("kind", LEADS_IN)
def test_a_prompt_leads_in(kind, tiny, photos):
    """For models that go on with a text, the caption begins with the prompt."""
    for (text,) in captions(captioner(tiny(kind), "a photo of"), photos[:2]):
        assert text.startswith("a photo of ")


@pytest.mark.parametrize("kind", ["blip-2", "llava", "qwen2.5-vl", "smolvlm"])
def test_a_question_is_no_part_of_the_answer(kind, tiny, photos):
    """For models that answer, the caption is the answer only, and depends on the question."""
    asked = captions(captioner(tiny(kind), "what does this image show"), photos[:2])
    assert not any("what does this image show" in text for (text,) in asked)
    assert asked != captions(captioner(tiny(kind), "red hat"), photos[:2])


def test_florence_takes_tasks(tiny, photos):
    """Florence-2 captions by task; anything else is refused with the list of tasks."""
    assert captions(captioner(tiny("florence2"), "<MORE_DETAILED_CAPTION>"), photos[:1])
    with pytest.raises(InvalidArgumentError) as caught:
        captioner(tiny("florence2"), "a photo of")
    assert str(caught.value) == (
        "prompt: Florence-2 captions by task, one of "
        "<CAPTION>, <DETAILED_CAPTION>, <MORE_DETAILED_CAPTION>."
    )


@pytest.mark.parametrize("kind", ["blip", "vit-gpt2"])
@pytest.mark.parametrize("prompt", [None, "a photo of"])
@pytest.mark.parametrize(("beams", "candidates"), [(1, 1), (3, 1), (4, 2)])
def test_captions_are_those_of_transformers(kind, prompt, beams, candidates, tiny, photos):
    """In fp32 the captions are exactly those of the plain model's own generate."""
    folder = tiny(kind)
    ours = captioner(folder, prompt)
    plain = AutoModelForImageTextToText.from_pretrained(folder).eval()
    items = [ours.prepare(photo) for photo in photos]
    with torch.inference_mode():
        tokens = plain.generate(
            **ours._intake.arrived(ours._intake.collate(items)),
            max_new_tokens=8,
            min_new_tokens=4,
            num_beams=beams,
            num_return_sequences=candidates,
            no_repeat_ngram_size=3,
        )
    texts = ours._intake.texts(tokens)
    generation = replace(SHORT, num_beams=beams, candidates=candidates)
    assert [text for some in captions(ours, photos, generation) for text in some] == texts


def test_beams_share_an_images_keys(tiny, photos):
    """The decoder's keys and values are made once an image, whatever the beams."""
    model = captioner(tiny("blip"))
    made = []
    layer = model._model.text_decoder.bert.encoder.layer[0].crossattention.self
    layer.key.register_forward_pre_hook(lambda _module, given: made.append(len(given[0])))
    captions(model, photos[:3], replace(SHORT, num_beams=4))
    assert made == [3]


def test_an_embedder_is_no_captioner(tiny):
    """A model that cannot caption is refused in one line."""
    with pytest.raises(InputDataError, match=r"^Model 'clip' cannot be loaded: .*CLIPConfig"):
        captioner(tiny("clip"))


@NEEDS_BF16
def test_a_model_that_strays_runs_in_fp32(tiny, caplog, monkeypatch):
    """Where the logits of bf16 are too far from fp32, fp32 captions, and that is said."""
    monkeypatch.setattr("image_toolkit.models.captioning.checked_captioner.LEAST_COSINE", 1.1)
    models = CaptionModels(model_id=str(tiny("blip")), precision="bf16", device="cpu")
    captioning = models.start([Ask(SHORT)], Choice(), Frame(), [])
    captioning.close()
    assert captioning.metadata()["precision"] == "fp32"
    assert "cpu bf16 strays from fp32: cosine of logits" in caplog.text


@pytest.mark.parametrize(("stored", "told"), [("float16", "."), ("bfloat16", "; cosine of logits")])
def test_only_a_model_made_for_it_is_not_compared(stored, told, tiny, tmp_path, caplog):
    """On GPUs without bf16, a model stored in bf16 runs in fp16, which ends at 65,504."""
    caplog.set_level("INFO")
    model = AutoModelForImageTextToText.from_pretrained(tiny("blip"))
    shutil.copytree(tiny("blip"), tmp_path / "model")
    model.to(getattr(torch, stored)).save_pretrained(tmp_path / "model")
    with patch.object(caption_models, "place", lambda device, _: Placement(device, "fp16")):
        models = CaptionModels(model_id=str(tmp_path / "model"), device="cpu")
        models.start([Ask(SHORT)], Choice(), Frame(), []).close()
    assert f"Captions on cpu fp16{told}" in caplog.text


def test_logits_that_are_no_numbers_stray(tiny, tmp_path, caplog):
    """Where values overflow in fp16, fp32 captions."""
    model = AutoModelForImageTextToText.from_pretrained(tiny("blip"))
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias.fill_(1e6)
    shutil.copytree(tiny("blip"), tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    with patch.object(caption_models, "place", lambda device, _: Placement(device, "fp16")):
        models = CaptionModels(model_id=str(tmp_path / "model"), device="cpu")
        captioning = models.start([Ask(SHORT)], Choice(), Frame(), [])
    captioning.close()
    assert captioning.metadata()["precision"] == "fp32"
    assert "cpu fp16 strays from fp32: cosine of logits nan" in caplog.text


@NEEDS_BF16
def test_a_model_too_large_for_fp32_is_not_compared(tiny, caplog, monkeypatch):
    """Where fp32 does not fit in the memory, nothing is compared, and that is said."""
    caplog.set_level("INFO")
    load = LocalCaptioner.__init__

    def hungry(self, files, placement, prompt, samples):
        load(self, files, placement, prompt, samples)
        if placement.precision == "fp32":
            torch.empty(1 << 58)

    monkeypatch.setattr(LocalCaptioner, "__init__", hungry)
    models = CaptionModels(model_id=str(tiny("blip")), precision="bf16", device="cpu")
    models.start([Ask(SHORT)], Choice(), Frame(), []).close()
    assert "Captions on cpu bf16, which was not compared: fp32 does not fit" in caplog.text


@NEEDS_VNNI
def test_int8_falls_back_to_what_auto_takes(tiny, caplog, monkeypatch):
    """Where the logits of int8 stray, what auto takes is tried next, and fp32 at last."""
    monkeypatch.setattr("image_toolkit.models.runtime.device.multiplies_in_bf16", lambda: True)
    monkeypatch.setattr("image_toolkit.models.captioning.checked_captioner.LEAST_COSINE", 1.1)
    models = CaptionModels(model_id=str(tiny("git")), precision="int8", device="cpu")
    captioning = models.start([Ask(SHORT)], Choice(), Frame(), [])
    captioning.close()
    assert captioning.metadata()["precision"] == "fp32"
    assert "cpu int8 strays from fp32: cosine of logits" in caplog.text
    assert "Going on with cpu bf16." in caplog.text
    assert "cpu bf16 strays from fp32: cosine of logits" in caplog.text


@NEEDS_BF16
def test_one_model_is_held_at_a_time(tiny, monkeypatch):
    """The fp32 model that others are compared with is let go before the next one is loaded."""
    held, most = WeakSet(), []

    class Counted(LocalCaptioner):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            held.add(self)
            most.append(len(held))

    monkeypatch.setattr("image_toolkit.models.captioning.checked_captioner.LocalCaptioner", Counted)
    monkeypatch.setattr("image_toolkit.models.captioning.checked_captioner.LEAST_COSINE", 1.1)
    models = CaptionModels(model_id=str(tiny("blip")), precision="bf16", device="cpu")
    models.start([Ask(SHORT)], Choice(), Frame(), []).close()
    assert most == [1, 1, 1]


@pytest.mark.parametrize(
    ("precision", "kept"), [("fp32", "float32"), pytest.param("int8", "bfloat16", marks=NEEDS_VNNI)]
)
def test_keys_are_smaller_beside_int8(precision, kept, tiny, photos, monkeypatch):
    """The keys that the decoder reads for every token are bf16 where its weights are int8."""
    seen = set()

    def attend(query, key, value, known):
        seen.update((query.dtype, key.dtype, value.dtype))
        assert key.is_contiguous()  # it is read for every token
        assert value.is_contiguous()
        return scaled_dot_product_attention(query, key, value, known)

    monkeypatch.setattr("image_toolkit.models.captioning.decoding.token_step._attended", attend)
    captions(captioner(tiny("blip"), precision=precision), photos[:2])
    assert seen == {getattr(torch, kept)}


@pytest.mark.parametrize(
    ("settings", "images"),
    [({}, 16), ({"num_beams": 5}, 12), ({"num_beams": 16}, 4), ({"num_beams": 99}, 1)],
)
def test_beams_count_for_the_batch(settings, images, tiny):
    """On a CPU fewer images are captioned at once where each one has several beams."""
    models = CaptionModels(model_id=str(tiny("blip")), device="cpu")
    captioning = models.start([Ask(Generation(**settings))], Choice(), Frame(), [])
    captioning.close()
    assert captioning._writers[0].size.now == images


def test_memory_errors_halve_the_batch(tiny, photos):
    """A real memory error while generating halves the batch; every image gets its caption."""
    import pyarrow as pa  # noqa: PLC0415

    models = CaptionModels(model_id=str(tiny("blip")), precision="fp32", device="cpu", batch_size=6)
    captioning = models.start([Ask(SHORT)], Choice(), Frame(), [])
    writer = captioning._writers[0]

    def hungry(_module, _inputs, keywords):
        if len(keywords["pixel_values"]) > 3:
            torch.empty(1 << 58)

    writer.captioner._model.vision_model.register_forward_pre_hook(hungry, with_kwargs=True)
    ids = [f"{n}" for n in range(6)]
    batch = pa.record_batch([pa.array(ids), pa.array(photos)], names=["id", "image"])
    (made,) = captioning.batches(iter([batch]), Rejects())
    captioning.close()
    assert (writer.size.now, writer.size.halvings) == (3, 1)
    assert made["id"].to_pylist() == ids
    assert all(made["caption"].to_pylist())
