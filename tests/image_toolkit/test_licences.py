"""Names of licences, as sources spell them."""

import pytest

from image_toolkit.licences import licence_id


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC-BY-SA 4.0", "cc-by-sa-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0", "cc-by-nc-sa-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", "public-domain-mark"),
        ("cc_by_2", "cc-by-2.0"),
        ("CC BY", "cc-by"),
        ("CC0", "cc0-1.0"),
        ("MIT License", "mit"),
        ("Unsplash", "unsplash"),
        ("?", "unknown"),
        ("N/A", "unknown"),
        ("Público | <b>", "público-b"),
    ],
)
def test_names_of_licences(text, name):
    """A licence is one licence, however a source spells it."""
    assert licence_id(text) == name
