"""What goes to a captioner: bytes until it is on the device, and a conversation as it is meant."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import AutoImageProcessor, AutoProcessor, BertTokenizer, PreTrainedTokenizerFast

from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.feed_rows import UnusableError
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.intakes import ChatIntake, PixelIntake

SHORT = Generation(max_new_tokens=8, min_new_tokens=4)


def captioner(folder):
    """Return a captioner on the CPU."""
    return LocalCaptioner(find_model(str(folder)), Placement(torch.device("cpu"), "fp32"), None)


def line(width, height):
    """Return an image as a JPEG file."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "JPEG")
    return file.getvalue()


def test_pixels_are_normalised_where_they_arrive(tiny, photos):
    """A quarter of the bytes goes to the device; there they become what the processor makes."""
    model = captioner(tiny("blip"))
    items = [model.prepare(photo) for photo in photos]
    inputs = model._intake.collate(items)
    assert inputs["pixel_values"].dtype == torch.uint8
    processor = AutoProcessor.from_pretrained(tiny("blip"))
    images = [Image.fromarray(np.asarray(item)) for item in items]
    wanted = processor(images=images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(model._intake.arrived(inputs)["pixel_values"], wanted)


def words_of(kind):
    """Return a tokenizer of a few words: BERT's, or one that knows where spaces were."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "a", "cat", "close", "-", "up"]
    vocabulary = {word: at for at, word in enumerate(words)}
    if kind == "bert":
        return BertTokenizer(vocab=vocabulary)
    own = Tokenizer(WordLevel(vocabulary, "[UNK]"))
    own.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=own, unk_token="[UNK]")


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("bert", "a close-up", "a close-up"),
        ("bert", "a cat", "a cat"),
        ("spaces", "a cat - close up", "a cat - close up"),
    ],
)
def test_only_what_a_tokenizer_took_apart_is_put_together(kind, text, expected, tiny):
    """BERT's vocabulary takes a hyphen for a word; elsewhere one between spaces is a dash."""
    tokenizer = words_of(kind)
    intake = PixelIntake(AutoImageProcessor.from_pretrained(tiny("blip")), tokenizer, lambda _: {})
    tokens = torch.tensor([tokenizer(text)["input_ids"]])
    assert intake.texts(tokens) == [expected]


@pytest.mark.parametrize("place", [0, 2])
def test_an_image_that_a_model_does_not_take(place, tiny, photos):
    """Of a batch with a line of 3,000 by 10 pixels, only that one gets no caption."""
    model = captioner(tiny("qwen2.5-vl"))
    given = [*photos[:2], photos[2]]
    given.insert(place, line(3000, 10))
    items = [model.prepare(photo) for photo in given]
    made = model.captions(items, [f"{n}" for n in range(4)], SHORT)
    refused = made.pop(place)
    assert isinstance(refused, UnusableError)
    assert refused.reason == "not_accepted"
    assert "aspect ratio" in str(refused)
    assert all(isinstance(texts, list) and texts[0] for texts in made)


@pytest.mark.parametrize("template", ["{{ bos_token }}", ""])
def test_a_conversation_starts_once(template, tiny):
    """Whether the template or the tokenizer puts the first token, it is there once."""
    processor = AutoProcessor.from_pretrained(tiny("llava"))
    processor.chat_template = template + processor.chat_template
    first = processor.tokenizer.bos_token
    processor.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A", special_tokens=[(first, processor.tokenizer.bos_token_id)]
    )
    intake = ChatIntake(processor, "describe this image", 1024)
    tokens = intake.collate(intake.probes())["input_ids"]
    assert (tokens == processor.tokenizer.bos_token_id).sum(1).tolist() == [1, 1]
