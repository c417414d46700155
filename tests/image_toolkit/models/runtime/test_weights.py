"""The digest of weights depends on their content alone, and comes from the hub's cache if known."""

import hashlib
from pathlib import Path

from image_toolkit.models.runtime.weights import weights_digest


def test_one_file(tmp_path: Path) -> None:
    """It is the file's own SHA-256, wherever it lies, and that of what is there now."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"weights")
    before = weights_digest([tmp_path / "a"])

    assert before == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert weights_digest([tmp_path / "b"]) == before
    (tmp_path / "b").write_bytes(b"others, longer")
    assert weights_digest([tmp_path / "b"]) == (
        f"sha256:{hashlib.sha256(b'others, longer').hexdigest()}"
    )


def test_several_files(tmp_path: Path) -> None:
    """They count together, in the order of their names."""
    first, second = tmp_path / "model-1", tmp_path / "model-2"
    first.write_bytes(b"1")
    second.write_bytes(b"2")

    digest = weights_digest([first, second])

    assert weights_digest([second, first]) == digest
    assert digest != weights_digest([first])
    first.write_bytes(b"other")
    assert weights_digest([first, second]) != digest


def test_the_hubs_cache_is_not_read(tmp_path: Path) -> None:
    """There, a large file is named by its SHA-256, which is taken at its word."""
    name = "ab" * 32
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).write_bytes(b"gigabytes")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / name)

    assert weights_digest([tmp_path / "model.safetensors"]) == f"sha256:{name}"
