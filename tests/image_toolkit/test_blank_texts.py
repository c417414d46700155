"""What counts as a blank text."""

import pytest

from image_toolkit.blank_texts import is_blank


@pytest.mark.parametrize(
    "text",
    [None, "", " \t\r\n", "\u00a0\u3000", "\u200b", "\ufeff", "\u00ad", "\u2060\u200d", "\u3164"],
)
def test_nothing_shows(text):
    """Null, white space, and characters without a shape are no text."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", ".", "\u200b0", "\U0001f600\ufe0f", "\u0301", "\u4e00"])
def test_something_shows(text):
    """Any character with a shape makes a text."""
    assert not is_blank(text)
