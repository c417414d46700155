"""A note in a folder that is being replaced: what may be deleted there if that is interrupted.

Neither a file system nor an object store replaces a folder atomically, so an interrupted run leaves
parts of the old and the new content. The note tells the next run that both belong to the step.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fondant_spec.dataset import storage

NOTE: Final = ".being_replaced.json"
_CLEARABLE: Final = "may_be_cleared"


def note(clearable: Mapping[str, Iterable[str]]) -> dict[str, dict[str, list[str]]]:
    """Return a note for JSON: the hashes of the contents that each path may have."""
    return {_CLEARABLE: {name: sorted(hashes) for name, hashes in clearable.items()}}


def clearable_files(folder: str) -> dict[str, list[str]]:
    """Return the content of the note; empty if it is not one of ours.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        content = json.loads(storage.read_text(storage.join(folder, NOTE)))[_CLEARABLE]
        return {str(name): [str(sha256) for sha256 in hashes] for name, hashes in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def foreign_files(folder: str, names: Iterable[str]) -> Iterator[str]:
    """Yield what happened to each file that must not be deleted: `<path> was added` or `edited`.

    All files are read: what was in transit when a run was stopped has no reliable stamp.
    """
    clearable = clearable_files(folder)
    for name in names:
        if name not in clearable:
            yield f"{name} was added"
        elif storage.sha256_of(storage.join(folder, name)) not in clearable[name]:
            yield f"{name} was edited"
