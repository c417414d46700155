"""Checks that local places are writable, before any work is done for them."""

import os
import tempfile
from pathlib import Path

from fondant_spec.dataset import storage


def why_no_folder(folder: str) -> str:
    """Return why no files can be written below a folder, which need not exist yet.

    The text is empty if they can, or if this is unknown: remote folders are not checked.
    """
    if storage.is_remote(folder):
        return ""
    path = Path(folder).absolute()
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        return f"{there} is no folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{there} cannot be written ({error.strerror or error})"


def why_no_file(file: str) -> str:
    """Return why a file cannot be written; empty if it can, or if this is unknown."""
    if storage.is_remote(file):
        return ""
    return f"{file} is a folder" if Path(file).is_dir() else why_no_folder(storage.parent(file))
