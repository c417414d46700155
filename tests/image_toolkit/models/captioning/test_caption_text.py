"""Captions as texts."""

import pytest

from image_toolkit.models.captioning.caption_text import Frame, clean, repeats


@pytest.mark.parametrize(
    "text",
    [
        "a bird standing on the edge of a body of water in the middle of a body of water",
        "a cat cat on a sofa",
        "a red car and a red car and a red car",
        "mountain with mountain over mountain under mountain",
        "A dog. A DOG! a dog",
    ],
)
def test_repetition_is_found(text):
    """Three words twice, a word twice in a row, or a longer word four times is repetition."""
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a bird standing on the edge of a body of water",
        "a cat next to a dog on a sofa",
        "two boats on a lake, two birds above it",
        "a man in a hat with a dog in a coat",
    ],
)
def test_plain_captions_pass(text):
    """Articles, prepositions and pairs of words may come again."""
    assert not repeats(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a  cat\non a\tsofa ", "a cat on a sofa"),
        ("arafed cat on a sofa", "cat on a sofa"),
        ("there is an araffe dog", "there is an dog"),
        ("a cat , a dog .", "a cat, a dog."),
        ('"A cat."', "A cat."),
        ("' A cat. '", "A cat."),
        ("'a dog's ball'", "a dog's ball"),
        ('a sign that says " stop "', 'a sign that says " stop "'),
        ('"stop" and "go"', '"stop" and "go"'),
        ("giraffe in the wild", "giraffe in the wild"),
        ("a gun of .50 calibre", "a gun of .50 calibre"),
        ("a cat - on a mat", "a cat - on a mat"),
        ("\n", ""),
        ("<think>a cat?</think>A cat", "A cat"),
        ("a cat, or\na dog?\n</THINK>\n\nA dog.", "A dog."),
        (" <thinking>a cat? I think", ""),
        ("a man who is <thinking>", "a man who is <thinking>"),
    ],
)
def test_generated_text_is_cleaned(text, expected):
    """A caption is one line, without the made-up words that BLIP is known for."""
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(), "a lake"),
        (Frame(suffix=", unsplash photography"), "a lake, unsplash photography"),
        (Frame(suffix="by claude monet"), "a lake by claude monet"),
        (Frame(prefix="painting of"), "painting of a lake"),
        (Frame(prefix="painting of "), "painting of a lake"),
        (Frame("sks", "photo of", ", film"), "sks, photo of a lake, film"),
        (Frame("sks,"), "sks, a lake"),
        (Frame(" sks , "), "sks, a lake"),
        (Frame("style:"), "style: a lake"),
        (Frame("sks;"), "sks; a lake"),
        (Frame("sks\uff0c"), "sks\uff0c a lake"),
        (Frame("sks!"), "sks!, a lake"),
        (Frame(", "), "a lake"),
        (Frame("sks", ", oil"), "sks, oil a lake"),
        (Frame(prefix="film, ", suffix="  by monet "), "film, a lake by monet"),
        (Frame(prefix="  painting of  "), "painting of a lake"),
        (Frame(suffix=" , film"), "a lake, film"),
        (Frame(suffix="\uff0cfilm"), "a lake\uff0cfilm"),
    ],
)
def test_frames(frame, expected):
    """Trigger, prefix and suffix are joined as a person would join them."""
    assert frame.around("a lake") == expected


def test_a_caption_that_ends_with_a_comma_gets_no_second_one():
    """Neither before a suffix that brings one; an ending mark of another kind stays."""
    assert Frame(suffix=", film").around("a lake,") == "a lake, film"
    assert Frame(suffix="on film").around("a lake.") == "a lake. on film"


@pytest.mark.parametrize(
    ("caption", "suffix", "expected"),
    [
        ("a cat.", ", 8k", "a cat, 8k"),
        ("a cat\u3002", "\uff0c8k", "a cat\uff0c8k"),
        ("a cat.", ".", "a cat."),
        ("a cat", ".", "a cat."),
        ("a cat!", ".", "a cat!"),
        ("what a cat!", ", 8k", "what a cat!, 8k"),
        ("a cat.", "!", "a cat!"),
        ("a gun,", ".50 calibre", "a gun, .50 calibre"),
        ("a lens", ", f/1.4.", "a lens, f/1.4."),
    ],
)
def test_no_two_marks_meet(caption, suffix, expected):
    """The suffix's mark takes the place of the sentence's end."""
    assert Frame(suffix=suffix).around(caption) == expected
