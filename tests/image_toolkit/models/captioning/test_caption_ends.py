"""Captions that were cut off by their length limit: which these are, and what is said of them."""

from types import SimpleNamespace

import pytest
import torch

from image_toolkit.models.captioning.caption_ends import CaptionEnds
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model

BEGIN, PAD, END = 0, 1, 2


def told(rows, caplog, *, ends=END, forced=None, most=3):
    """Return what is logged of some captions' tokens."""
    settings = SimpleNamespace(eos_token_id=ends, forced_eos_token_id=forced)
    counted = CaptionEnds({BEGIN, PAD}, settings)
    counted.count(torch.tensor(rows), most)
    counted.tell()
    return caplog.text


@pytest.mark.parametrize("ends", [END, [9, END]])
def test_a_word_in_the_last_place(ends, caplog):
    """It is a caption's that had no room for its end; the others ended, or are padded."""
    rows = [[BEGIN, 5, 6, 7], [BEGIN, 5, 6, END], [BEGIN, 5, END, PAD], [BEGIN, 7, 7, 7]]
    assert "2 of 4 generated captions," in told(rows, caplog, ends=ends)


def test_a_model_without_an_end(caplog):
    """All its captions are as long as they may be."""
    assert "1 of 1 " in told([[5, 6, 7]], caplog, ends=None)


def test_nothing_is_said_of_captions_that_ended(caplog):
    """Nor of a single token."""
    assert not told([[BEGIN, 5, END], [BEGIN, END, PAD]], caplog)
    assert not told([[END]], caplog)


def test_an_end_that_was_forced(caplog):
    """It stands past the last token that a caption may have, after a word."""
    rows = [[END, 5, 6, 7, END], [END, 5, 6, END, PAD], [END, 5, 6, END, END]]
    assert "1 of 3 " in told(rows, caplog, forced=END, most=4)


def test_shorter_captions_ended_by_themselves(caplog):
    """Also those of a model that is forced to."""
    assert not told([[END, 5, 6, END]], caplog, forced=END, most=4)


@pytest.mark.parametrize(
    "kind", ["blip", "blip-2", "git", "vit-gpt2", "florence2", "llava", "qwen2.5-vl", "smolvlm"]
)
def test_each_architecture(kind, tiny, photos, caplog):
    """Captions that may not end before their last token are all cut off; it is told at the end."""
    model = LocalCaptioner(
        find_model(str(tiny(kind))), Placement(torch.device("cpu"), "fp32"), None
    )
    generation = Generation(max_new_tokens=4, min_new_tokens=4)
    model.captions([model.prepare(photo) for photo in photos[:2]], ["a", "b"], generation)
    assert "max_new_tokens" not in caplog.text
    model.close()
    assert "2 of 2 generated captions," in caplog.text
