"""Captioners of each architecture, with tiny models of it."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.rejects import Rejects
from fondant_spec.toolkit.models.caption_models import CaptionModels
from fondant_spec.toolkit.models.caption_text import Frame
from fondant_spec.toolkit.models.captioners import LocalCaptioner
from fondant_spec.toolkit.models.captioning import Choice
from fondant_spec.toolkit.models.device import Placement
from fondant_spec.toolkit.models.generation import Generation
from fondant_spec.toolkit.models.hub import find_model

CPU = torch.device("cpu")
KINDS = ["blip", "blip-2", "git", "vit-gpt2", "florence2", "llava", "qwen2.5-vl", "smolvlm"]
LEADS_IN = ["blip", "git", "vit-gpt2"]
SHORT = Generation(max_new_tokens=8, min_new_tokens=4)


def captioner(folder, prompt=None, dtype=torch.float32):
    """Return a captioner on the CPU."""
    return LocalCaptioner(find_model(str(folder)), Placement(CPU, dtype), prompt)


def captions(model, photos, generation=SHORT):
    """Return the candidates of a captioner for some photos."""
    rows = [f"{n}" for n in range(len(photos))]
    return model.captions([model.prepare(photo) for photo in photos], rows, generation)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_each_architecture_captions(kind, dtype, tiny, photos):
    """Every architecture gives a text an image, the same in a batch and alone."""
    model = captioner(tiny(kind), dtype=dtype)
    together = captions(model, photos[:3])
    assert all(len(texts) == 1 and len(texts[0].split()) >= 2 for texts in together)
    if dtype == torch.float32:
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


def test_greedy_captions_are_those_of_transformers(tiny, photos):
    """In fp32 the tokens are exactly those of the plain model's own generate."""
    folder = tiny("blip")
    ours = captioner(folder)
    plain = AutoModelForImageTextToText.from_pretrained(folder).eval()
    items = [ours.prepare(photo) for photo in photos]
    pixels = ours._inputs(items)["pixel_values"]
    with torch.inference_mode():
        tokens = plain.generate(
            pixel_values=pixels, max_new_tokens=8, min_new_tokens=4, no_repeat_ngram_size=3
        )
    texts = ours._intake.texts(tokens, {})
    assert [text for (text,) in captions(ours, photos)] == texts


def test_an_embedder_is_no_captioner(tiny):
    """A model that cannot caption is refused in one line."""
    with pytest.raises(InputDataError, match=r"^Model 'clip' cannot be loaded: .*CLIPConfig"):
        captioner(tiny("clip"))


def test_a_model_that_strays_runs_in_fp32(tiny, caplog, monkeypatch):
    """Where the logits of bf16 are too far from fp32, fp32 captions, and that is said."""
    monkeypatch.setattr("fondant_spec.toolkit.models.caption_models.LEAST_COSINE", 1.1)
    models = CaptionModels(model_id=str(tiny("blip")), precision="bf16", device="cpu")
    captioning = models.start(SHORT, Choice(), Frame(), [])
    captioning.close()
    assert captioning.metadata()["precision"] == "fp32"
    assert "cpu bf16 strays from fp32: cosine of logits" in caplog.text


def test_memory_errors_halve_the_batch(tiny, photos):
    """A real memory error while generating halves the batch; every image gets its caption."""
    import pyarrow as pa  # noqa: PLC0415

    models = CaptionModels(model_id=str(tiny("blip")), precision="fp32", device="cpu", batch_size=6)
    captioning = models.start(SHORT, Choice(), Frame(), [])
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
