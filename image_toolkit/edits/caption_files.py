"""Captions as text files that people correct with any editor.

A list of what was written is stored beside the texts. A text that now differs from it was changed
by a person: it is never overwritten.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidDatasetError
from image_toolkit import text_encodings

_LISTING: Final = ".written.json"


@dataclass(frozen=True)
class Written:
    """A caption as it was written to a file, and the key of its image (see `image_key`).

    `beneath` is the caption of the steps, which an edit may have changed; None if unknown.
    """

    image: str
    caption: str
    beneath: str | None = None


def write_texts(folder: Path, texts: Mapping[str, Written]) -> list[str]:
    """Write captions to files by name; return those that a person has changed, which are kept.

    Texts without a caption any more are removed, unless somebody has changed them.
    """
    known = written_texts(folder)
    changed = changed_texts(folder, known)
    kept = [name for name, text in changed if name in texts and text is not None]
    for name in known.keys() - texts.keys():
        if _text(folder / name) == _read_back(known[name]):
            (folder / name).unlink()
    for name, written in texts.items():
        if name not in kept:
            storage.write_text(str(folder / name), f"{written.caption}\n")
    # Changed texts are listed as they were, so that they still count as changed.
    listing = {**texts, **{name: known[name] for name in kept}}
    note_written(folder, listing)
    return kept


def listed_texts(folder: Path) -> frozenset[str] | None:
    """Return the names of the texts that were written; None if no list of them can be read."""
    try:
        return frozenset(written_texts(folder)) if (folder / _LISTING).is_file() else None
    except (OSError, InvalidDatasetError):
        return None


def written_texts(folder: Path) -> dict[str, Written]:
    """Return what was written.

    Raises:
        InvalidDatasetError: the list cannot be read.
    """
    file = folder / _LISTING
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): Written(**written) for name, written in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"{file}: does not list what was written ({error}); move the folder away."
        raise InvalidDatasetError(msg) from error


def note_written(folder: Path, texts: Mapping[str, Written]) -> None:
    """Store the list of what is written now."""
    content = {name: asdict(written) for name, written in texts.items()}
    storage.write_text(str(folder / _LISTING), json.dumps(content, ensure_ascii=False, indent=1))


def changed_texts(folder: Path, known: Mapping[str, Written]) -> Iterator[tuple[str, str | None]]:
    """Yield the texts that differ from what was written; None for one that was removed."""
    for name, written in known.items():
        text = _text(folder / name)
        if text != _read_back(written):
            yield name, text


def _read_back(written: Written) -> str:
    """Return how an unchanged text is read: with the usual line ends."""
    return text_encodings.caption(f"{written.caption}\n".encode())


def _text(file: Path) -> str | None:
    """Return the content of a file, without the end of its last line; None if there is none.

    Raises:
        InvalidDatasetError: it is not text.
    """
    try:
        return text_encodings.caption(file.read_bytes())
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        msg = f"{file}: is no text in UTF-8 ({error}); save it as that."
        raise InvalidDatasetError(msg) from error
