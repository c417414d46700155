"""Which subfolders hold output of these programs: results, exports, pages.

When reading a folder of somebody's images they are skipped: output may be below the images, and
would be read as more images in the next run.
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

    Other programs may have folders called `edits`, `pictures` or `texts`: a folder with any file
    that is not recognised does not count, and in `edits` only the journal's files do.
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
    """Return which folders in this one a page wrote: those that contain only its files."""
    texts = listed_texts(folder / TEXTS)
    if texts is None:
        return set()
    # There is a picture for each text; earlier files of the same name were overwritten.
    pictures = {picture_name(number) for number in range(len(texts))}
    found = {TEXTS} if _has_only(folder / TEXTS, texts.__contains__) else set()
    if (folder / PAGE).is_file() and _has_only(folder / PICTURES, pictures.__contains__):
        found.add(PICTURES)
    return found


def _has_only(folder: Path, is_own: Callable[[str], bool]) -> bool:
    """Return whether everything below a folder is recognised by its path; False if unreadable."""
    try:
        return all(map(is_own, _files_below(folder)))
    except OSError:
        return False


def _files_below(folder: Path, inside: str = "") -> Iterator[str]:
    """Yield all files below a folder, except those of the operating system."""
    with os.scandir(folder) as entries:
        for one in entries:
            if is_of_the_system(one.name):
                continue
            if one.is_dir(follow_symlinks=False):
                yield from _files_below(Path(one.path), f"{inside}{one.name}/")
            else:
                yield inside + one.name


def _is_export(folder: Path) -> bool:
    """Return whether a folder has the mark of an export, or the note of an interrupted one."""
    if (folder / NOTE).is_file():
        return True
    try:
        return (folder / MARK).is_file() and listed_files(str(folder / MARK)) is not None
    except (OSError, StorageError):
        return False


def _is_pipeline(folder: Path) -> bool:
    """Return whether a folder contains runs, or results of steps by cache key."""
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
    """Yield the readable folders in another one, without links."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
