"""A note in a folder that is being replaced: what may be cleared there, should that break off.

Neither a file system nor an object store replaces a folder at once, so a run that is stopped leaves
parts of the old and of the new. The note tells the next run that both are the step's own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fondant_spec.dataset import storage

NOTE: Final = ".being_replaced.json"
_CLEARABLE: Final = "may_be_cleared"


def note(clearable: Mapping[str, Iterable[str]]) -> dict[str, dict[str, list[str]]]:
    """Return a note, as JSON has it: the hashes of the contents that each path may have."""
    return {_CLEARABLE: {name: sorted(hashes) for name, hashes in clearable.items()}}


def clearable_files(folder: str) -> dict[str, list[str]]:
    """Return what the note says; nothing, if it is none of ours.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        content = json.loads(storage.read_text(storage.join(folder, NOTE)))[_CLEARABLE]
        return {str(name): [str(sha256) for sha256 in hashes] for name, hashes in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def foreign_files(folder: str, names: Iterable[str]) -> Iterator[str]:
    """Yield what became of each file that may not be cleared: `<path> was added`, or `edited`.

    All are read: what was on its way when a run was stopped has no stamp to believe.
    """
    clearable = clearable_files(folder)
    for name in names:
        if name not in clearable:
            yield f"{name} was added"
        elif storage.sha256_of(storage.join(folder, name)) not in clearable[name]:
            yield f"{name} was edited"
