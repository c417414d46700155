"""Captions as text files that people correct with any editor.

Beside the texts lies a list of what was written. A text that says something else by now is a
person's: it is never overwritten.
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
    """A caption as it was written into a file, and the key of its image (see `image_key`).

    `beneath` is what the steps had written, which an edit may have changed; None if nobody knows.
    """

    image: str
    caption: str
    beneath: str | None = None


def write_texts(folder: Path, texts: Mapping[str, Written]) -> list[str]:
    """Write captions into files by their names; return those that a person has changed, and stay.

    Texts of earlier captions go where there is none any more, unless somebody has changed them.
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
    # What was changed is listed as it was, so that it is still known for changed.
    listing = {**texts, **{name: known[name] for name in kept}}
    note_written(folder, listing)
    return kept


def listed_texts(folder: Path) -> frozenset[str] | None:
    """Return the names of the texts that were written; None where no list of them can be read."""
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
    """Keep a list of what is written now."""
    content = {name: asdict(written) for name, written in texts.items()}
    storage.write_text(str(folder / _LISTING), json.dumps(content, ensure_ascii=False, indent=1))


def changed_texts(folder: Path, known: Mapping[str, Written]) -> Iterator[tuple[str, str | None]]:
    """Yield the texts that are not as they were written; None for one that is gone."""
    for name, written in known.items():
        text = _text(folder / name)
        if text != _read_back(written):
            yield name, text


def _read_back(written: Written) -> str:
    """Return what is read of a text that nobody has changed: its lines end as in any text."""
    return text_encodings.caption(f"{written.caption}\n".encode())


def _text(file: Path) -> str | None:
    """Return what is in a file, without the end of its last line; None if there is none.

    Raises:
        InvalidDatasetError: it holds no characters.
    """
    try:
        return text_encodings.caption(file.read_bytes())
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        msg = f"{file}: is no text in UTF-8 ({error}); save it as that."
        raise InvalidDatasetError(msg) from error
