"""File names as texts that can be stored."""

import os
from pathlib import Path

import pytest

from image_toolkit.text_encodings import printable


@pytest.mark.parametrize(
    ("name", "text"), [(b"caf\xc3\xa9.jpg", "café.jpg"), (b"caf\xe9.jpg", "caf\\xe9.jpg")]
)
def test_bytes_of_a_name_that_are_no_text_are_spelled_out(name: bytes, text: str) -> None:
    """A name of another encoding keeps its row, and tells which file it was."""
    found = os.fsdecode(name)
    assert printable(found) == printable(Path(found)) == text
