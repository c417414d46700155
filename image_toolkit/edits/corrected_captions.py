"""Make edits from the texts that people changed: each change is imported once."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fondant_spec.errors import InvalidDatasetError
from image_toolkit.blank_texts import is_blank
from image_toolkit.edits.caption_file_names import SUFFIX
from image_toolkit.edits.caption_files import Written, changed_texts, note_written, written_texts
from image_toolkit.edits.cells import Cell, by_image, cells_of, ids_for_text
from image_toolkit.edits.edit import CAPTION, Edit, Value, check_value, new_id, now, text_cell
from image_toolkit.edits.journal import Journal


def take_over(folder: Path, journal: Journal, by: str) -> list[str]:
    """Make edits from the texts that were changed since they were written; return their names.

    Raises:
        InvalidArgumentError: a text is too long.
        InvalidDatasetError: a text is blank, not text, or of no image; or two of one image differ.
    """
    known = written_texts(folder)
    _check_all_known(folder, known)
    changed = {name: text for name, text in changed_texts(folder, known) if text is not None}
    for name, text in changed.items():
        _check_words(folder / name, text)
    edits = _edits(changed, known, by_image(cells_of(journal.edits())), by)
    _check_agreed(folder, edits)
    if edits:
        journal.add(list(edits.values()))
        taken = {name: replace(known[name], caption=text) for name, text in changed.items()}
        note_written(folder, {**known, **taken})
    return list(changed)


def _check_all_known(folder: Path, known: Mapping[str, Written]) -> None:
    """Check that there are no other texts than those written: they would be of no image."""
    found = {file.relative_to(folder).as_posix() for file in folder.rglob(f"*{SUFFIX}")}
    if strangers := sorted(found - known.keys()):
        msg = (
            f"{folder / strangers[0]}: is the text of no image; change the texts that were written "
            "there, which have the names of images, and take others away."
        )
        raise InvalidDatasetError(msg)


def _check_words(file: Path, text: str) -> None:
    """Check that a text can be a caption."""
    if is_blank(text):
        msg = f"{file}: is blank; write a caption, or remove the image at its source."
        raise InvalidDatasetError(msg)
    check_value(CAPTION, text)


def _edits(
    changed: Mapping[str, str],
    known: Mapping[str, Written],
    cells: Mapping[str, Mapping[str, Cell]],
    by: str,
) -> dict[str, Edit]:
    """Return the edit for each changed text, by name; all are one action."""
    several = _with_several_captions(known.values())
    action = new_id()
    edits = {}
    for name, text in changed.items():
        image = known[name].image
        own = cells.get(image, {})
        beneath = _beneath(known[name], own)
        edits[name] = Edit(
            id=new_id(),
            at=now(),
            by=by,
            image=image,
            field=CAPTION,
            value=text,
            after=ids_for_text(own, beneath),
            beneath=beneath,
            action=action,
            of_text=image in several or text_cell(beneath) in own,
        )
    return edits


def _check_agreed(folder: Path, edits: Mapping[str, Edit]) -> None:
    """Check that changed texts of the same cell agree: only one can apply."""
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
    """Return the caption of the steps when a person saw a text."""
    if written.beneath is not None:
        return written.beneath
    cell = cells.get(CAPTION)
    return cell.edit.beneath if cell else written.caption


def _with_several_captions(texts: Iterable[Written]) -> set[str]:
    """Return the images that have more than one caption from the steps."""
    found: dict[str, set[str]] = {}
    for one in texts:
        found.setdefault(one.image, set()).add(one.caption if one.beneath is None else one.beneath)
    return {image for image, captions in found.items() if len(captions) > 1}
