"""All texts in the value of an argument."""

import pytest

from fondant_spec.spec.argument_texts import texts_in


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("a", ["a"]),
        ([1, "a", ["b", None]], ["a", "b"]),
        ({"a": {"b": ["c", 1.5]}, "d": True}, ["a", "b", "c", "d"]),
        (None, []),
    ],
)
def test_each_text_comes_in_its_order(value, texts):
    """Keys are texts, too."""
    assert list(texts_in(value)) == texts
