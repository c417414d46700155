"""Captions as text files that people correct with any editor: what they change becomes edits.

Beside the texts lies a list of what was written. A text that says something else by now is a
person's: it is never overwritten, and taken over once.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidDatasetError
from image_toolkit import text_encodings
from image_toolkit.blank_texts import is_blank
from image_toolkit.edits.cells import Cell, by_image, cells_of, ids_for_text
from image_toolkit.edits.edit import CAPTION, Edit, Value, check_value, new_id, now, text_cell
from image_toolkit.edits.journal import Journal

LISTING: Final = ".written.json"
SUFFIX: Final = ".txt"

_LONGEST_NAME: Final = 200  # bytes, which all file systems take with a suffix
_HASH_LENGTH: Final = 32


@dataclass(frozen=True)
class Written:
    """A caption as it was written into a file, and the key of its image (see `image_key`).

    `beneath` is what the steps had written, which an edit may have changed; None if nobody knows.
    """

    image: str
    caption: str
    beneath: str | None = None


def text_names(names: Iterable[tuple[str | None, str]]) -> Iterator[str]:
    """Yield the file for the text of each image, given its own name, if it has one, and its id.

    That is its name with `.txt` behind, in the same folders, or its id where it has no name that
    can be a file below a folder, or one that came already. No two are one file, not even where
    case is ignored, or how a letter is composed.
    """
    taken: set[str] = set()
    for name, row_id in names:
        wanted = next(one for one in _candidates(name, row_id) if _key(one) not in taken)
        taken.add(_key(wanted))
        yield f"{wanted}{SUFFIX}"


def _candidates(name: str | None, row_id: str) -> Iterator[str]:
    if name and _is_safe(name):
        yield PurePosixPath(name).as_posix()  # as the folder lists it: without `./`, or `//`
    own = row_id if _is_safe(row_id) else hashlib.sha256(row_id.encode()).hexdigest()[:_HASH_LENGTH]
    yield own
    yield from (f"{own}-{number}" for number in count(2))


def _key(name: str) -> str:
    """Return what is the same for all names that a file system may take for one."""
    path = PurePosixPath(unicodedata.normalize("NFC", name)).as_posix()
    return unicodedata.normalize("NFC", path.casefold())


def write_texts(folder: Path, texts: Mapping[str, Written]) -> list[str]:
    """Write captions into files by their names; return those that a person has changed, and stay.

    Texts of earlier captions go where there is none any more, unless somebody has changed them.
    """
    known = _listed(folder)
    kept = [name for name, text in _changed(folder, known) if name in texts and text is not None]
    for name in known.keys() - texts.keys():
        if _text(folder / name) == _read_back(known[name]):
            (folder / name).unlink()
    for name, written in texts.items():
        if name not in kept:
            storage.write_text(str(folder / name), f"{written.caption}\n")
    # What was changed is listed as it was, so that it is still known for changed.
    listing = {**texts, **{name: known[name] for name in kept}}
    _list(folder, listing)
    return kept


def listed_texts(folder: Path) -> frozenset[str] | None:
    """Return the names of the texts that were written; None where no list of them can be read."""
    try:
        return frozenset(_listed(folder)) if (folder / LISTING).is_file() else None
    except (OSError, InvalidDatasetError):
        return None


def take_over(folder: Path, journal: Journal, by: str) -> list[str]:
    """Make edits of the texts that were changed since they were written; return their names.

    Raises:
        InvalidArgumentError: a text is too long.
        InvalidDatasetError: a text is blank, no text, or of no image; or two of one image differ.
    """
    known = _listed(folder)
    found = {file.relative_to(folder).as_posix() for file in folder.rglob(f"*{SUFFIX}")}
    if strangers := sorted(found - known.keys()):
        msg = (
            f"{folder / strangers[0]}: is the text of no image; change the texts that were written "
            "there, which have the names of images, and take others away."
        )
        raise InvalidDatasetError(msg)
    changed = [(name, text) for name, text in _changed(folder, known) if text is not None]
    cells = by_image(cells_of(journal.edits()))
    several = _with_several_captions(known.values())
    action = new_id()
    edits = []
    for name, text in changed:
        if is_blank(text):
            msg = f"{folder / name}: is blank; write a caption, or remove the image at its source."
            raise InvalidDatasetError(msg)
        check_value(CAPTION, text)
        written = known[name]
        own = cells.get(written.image, {})
        beneath = _beneath(written, own)
        edits.append(
            Edit(
                id=new_id(),
                at=now(),
                by=by,
                image=written.image,
                field=CAPTION,
                value=text,
                after=ids_for_text(own, beneath),
                beneath=beneath,
                action=action,
                of_text=written.image in several or text_cell(beneath) in own,
            )
        )
    _check_agreed(folder, {name: edit for (name, _), edit in zip(changed, edits, strict=True)})
    if edits:
        journal.add(edits)
        taken = {name: replace(known[name], caption=text) for name, text in changed}
        _list(folder, {**known, **taken})
    return [name for name, _ in changed]


def _check_agreed(folder: Path, edits: Mapping[str, Edit]) -> None:
    """Check that texts of one cell, which were both changed, say the same: one has to stand."""
    first: dict[tuple[str, Value], str] = {}
    for name, edit in edits.items():
        cell = edit.image, edit.beneath if edit.of_text else None
        other = first.setdefault(cell, name)
        if edits[other].value != edit.value:
            msg = (
                f"{folder / other} and {name}: are texts of one and the same image, and were "
                "changed to different ones; have both say the same."
            )
            raise InvalidDatasetError(msg)


def _beneath(written: Written, cells: Mapping[str, Cell]) -> Value:
    """Return what the steps had written when a person saw a text."""
    if written.beneath is not None:
        return written.beneath
    cell = cells.get(CAPTION)
    return cell.edit.beneath if cell else written.caption


def _with_several_captions(texts: Iterable[Written]) -> set[str]:
    """Return the images for which the steps wrote more than one caption."""
    found: dict[str, set[str]] = {}
    for one in texts:
        found.setdefault(one.image, set()).add(one.caption if one.beneath is None else one.beneath)
    return {image for image, captions in found.items() if len(captions) > 1}


def _changed(folder: Path, known: Mapping[str, Written]) -> Iterator[tuple[str, str | None]]:
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


def _listed(folder: Path) -> dict[str, Written]:
    """Return what was written.

    Raises:
        InvalidDatasetError: the list cannot be read.
    """
    file = folder / LISTING
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): Written(**written) for name, written in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"{file}: does not list what was written ({error}); move the folder away."
        raise InvalidDatasetError(msg) from error


def _list(folder: Path, texts: Mapping[str, Written]) -> None:
    content = {name: asdict(written) for name, written in texts.items()}
    storage.write_text(str(folder / LISTING), json.dumps(content, ensure_ascii=False, indent=1))


def _is_safe(name: str) -> bool:
    """Return whether a name is that of a file below a folder, on any system."""
    path = PurePosixPath(name)
    fits = all(len(part.encode(errors="replace")) <= _LONGEST_NAME for part in path.parts)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return bool(path.parts) and fits and inside and name.isprintable()
