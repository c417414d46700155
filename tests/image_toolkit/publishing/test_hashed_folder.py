"""Writing into a folder that keeps hashes of its files."""

import hashlib
from pathlib import Path

from image_toolkit.publishing.hashed_folder import HashedFolder


def test_json_has_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """A line for each value, in ASCII, and an end of line: an export made again is the same."""
    folder = HashedFolder(tmp_path)
    folder.write_json("config/a.json", {"b": [1], "a": "é"})
    written = (tmp_path / "config/a.json").read_bytes()
    assert written == b'{\n  "b": [\n    1\n  ],\n  "a": "\\u00e9"\n}\n'
    assert folder.files["config/a.json"].sha256 == hashlib.sha256(written).hexdigest()
