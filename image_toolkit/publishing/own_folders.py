"""Which folders below another one hold what these programs wrote: results, exports, pages.

Whoever reads a folder of somebody's images leaves them out: what is made of images may lie below
them, and would be taken for more of them in the next run.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from fondant_spec.dataset.layout import MANIFEST_FILE, PipelineFolder, RunFolder, StepFolder
from fondant_spec.dataset.written_files import MARK, listed_files
from fondant_spec.errors import StorageError
from image_toolkit.edits import journal
from image_toolkit.edits.caption_files import listed_texts
from image_toolkit.images.image_files import is_of_the_system
from image_toolkit.publishing.page_names import PAGE, PICTURES, TEXTS, picture_name
from image_toolkit.publishing.replacement_note import NOTE

_KEY: Final = re.compile("[0-9a-f]{16}")


def own_folders(folder: Path) -> frozenset[str]:
    """Return the names of what a pipeline, an export or a page wrote in this folder.

    Others may have folders called `edits`, `pictures` or `texts`: with any file in it that is not
    known for ours, such a folder is none of these, and of its files only the journal's are.
    """
    if folder.name == journal.FOLDER and any(map(_is_pipeline, _folders(folder.parent))):
        return frozenset(filter(journal.is_journal, _names(folder)))
    folders = [*_folders(folder)]
    found = {one.name for one in folders if _is_pipeline(one)}
    if found and _has_only(folder / journal.FOLDER, journal.is_journal):  # this is a base path
        found.add(journal.FOLDER)
    found |= {one.name for one in folders if _is_export(one)}
    found |= _of_page(folder)
    return frozenset(found & {one.name for one in folders})


def _of_page(folder: Path) -> set[str]:
    """Return which of the folders in this one a page wrote: those of all its own files."""
    texts = listed_texts(folder / TEXTS)
    if texts is None:
        return set()
    # There is a picture for each text, and what had its name before was written over.
    pictures = {picture_name(number) for number in range(len(texts))}
    found = {TEXTS} if _has_only(folder / TEXTS, texts.__contains__) else set()
    if (folder / PAGE).is_file() and _has_only(folder / PICTURES, pictures.__contains__):
        found.add(PICTURES)
    return found


def _has_only(folder: Path, is_own: Callable[[str], bool]) -> bool:
    """Return whether all that lies below a folder is known, by its path; not if it is unread."""
    try:
        return all(map(is_own, _files_below(folder)))
    except OSError:
        return False


def _files_below(folder: Path, inside: str = "") -> Iterator[str]:
    """Yield what lies below a folder and is no folder itself, but for the system's own."""
    with os.scandir(folder) as entries:
        for one in entries:
            if is_of_the_system(one.name):
                continue
            if one.is_dir(follow_symlinks=False):
                yield from _files_below(Path(one.path), f"{inside}{one.name}/")
            else:
                yield inside + one.name


def _is_export(folder: Path) -> bool:
    """Return whether a folder has the mark of an export, or the note of one that broke off."""
    if (folder / NOTE).is_file():
        return True
    try:
        return (folder / MARK).is_file() and listed_files(str(folder / MARK)) is not None
    except (OSError, StorageError):
        return False


def _is_pipeline(folder: Path) -> bool:
    """Return whether a folder holds runs, or results of steps under their cache keys."""
    runs = Path(PipelineFolder(str(folder)).runs)
    if any(Path(RunFolder(str(one)).record).is_file() for one in _folders(runs)):
        return True
    return any(_is_result(one) for step in _folders(folder) for one in _folders(step))


def _is_result(folder: Path) -> bool:
    if not _KEY.fullmatch(folder.name):
        return False
    step = StepFolder(str(folder))
    has_begun = Path(step.leases).is_dir() or Path(step.checkpoints).is_dir()
    return has_begun or ((folder / MANIFEST_FILE).is_file() and Path(step.data).is_dir())


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return [one.name for one in folder.iterdir()]
    return []


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders in another one, as far as it may be read; links are none."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
