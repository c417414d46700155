"""The journal of edits: one line of JSON each, in append-only files below the base path.

Each writer has its own files, so that two people never write to the same one, in a folder or an
object store. Each edit replaces the writer's file with one that is a line longer, atomically:
whatever happens to the writer, an edit is either stored or not. When a file is full, a new one is
started.
"""

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidDatasetError
from image_toolkit.edits.edit import Edit, new_id, now

FOLDER: Final = "edits"
ENDING: Final = ".jsonl"

_OWN_NAME: Final = re.compile(rf"[0-9]{{8}}T[0-9]{{6}}-[0-9a-f]{{12}}{re.escape(ENDING)}")

_LINES: Final = 200
"""Limit on a file that is still written to: each further edit rewrites it."""


def edits_folder(base_path: str) -> str:
    """Return the folder with all edits of the datasets below a base path."""
    return storage.join(storage.normalize(base_path), FOLDER)


def is_journal(name: str) -> bool:
    """Return whether a file has the form of name that writers use."""
    return _OWN_NAME.fullmatch(name) is not None


def edits_version(folder: str) -> str:
    """Return a hash that changes with every edit; empty before the first.

    Files only grow, so their names and sizes are enough.
    """
    files = sorted(_files(folder).items())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16] if files else ""


class Journal:
    """Reads all edits in a folder, and adds new ones. Thread-safe."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._read: dict[str, tuple[int, list[Edit]]] = {}
        self._own: list[Edit] = []
        self._file = ""

    def edits(self) -> list[Edit]:
        """Return all edits, in no particular order; only files that have grown are read.

        Raises:
            InvalidDatasetError: a line is not an edit.
            StorageError: a file cannot be read.
        """
        with self._lock:
            known, self._read = self._read, {}
            for name, size in _files(self._folder).items():
                if name not in known or known[name][0] != size:
                    known[name] = (size, _parsed(storage.join(self._folder, name)))
                self._read[name] = known[name]
            return [edit for _, edits in self._read.values() for edit in edits]

    def add(self, edits: Sequence[Edit]) -> None:
        """Store edits, all of them or none; they are durable on return.

        Raises:
            StorageError: they could not be written.
        """
        with self._lock:
            gone = self._file not in _files(self._folder)  # such as when the folder was removed
            if gone or len(self._own) + len(edits) > _LINES:
                self._file, self._own = f"{_stamp()}-{new_id()[:12]}{ENDING}", []
            lines = [*self._own, *edits]
            text = "".join(edit.to_json() for edit in lines)
            storage.write_text(storage.join(self._folder, self._file), text)
            self._own = lines


def _stamp() -> str:
    """Return the current second, as the beginning of a file name."""
    return now().partition(".")[0].replace("-", "").replace(":", "")


def _files(folder: str) -> dict[str, int]:
    sizes = storage.sizes(folder)
    return {name: sizes[name] for name in sizes if name.endswith(ENDING) and name[0] != "."}


def _parsed(file: str) -> list[Edit]:
    edits = []
    # Only line feeds end lines: captions may contain other characters at which `splitlines` splits.
    for number, line in enumerate(storage.read_text(file).split("\n"), 1):
        if line:
            try:
                edits.append(Edit.from_json(line))
            except (ValueError, RecursionError) as error:
                msg = f"{file}, line {number}: is no edit ({error}); correct or remove the line."
                raise InvalidDatasetError(msg) from None
    return edits
