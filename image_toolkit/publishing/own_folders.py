"""Which folders below another one hold what these programs wrote: results, exports, pages.

Whoever reads a folder of somebody's images leaves them out: what is made of images may lie below
them, and would be taken for more of them in the next run.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from fondant_spec.dataset.layout import MANIFEST_FILE, PipelineFolder, RunFolder, StepFolder
from fondant_spec.dataset.written_files import MARK, listed_files
from fondant_spec.errors import StorageError
from image_toolkit.edits import journal
from image_toolkit.edits.texts import LISTING
from image_toolkit.publishing.replacement_note import NOTE

_PAGE: Final = ("pictures", "texts")
"""What a page of captions has beside it: small copies, and the texts to correct with their list."""

_KEY: Final = re.compile("[0-9a-f]{16}")


def own_folders(folder: Path) -> frozenset[str]:
    """Return the names of the folders in this one that a pipeline, an export or a page wrote."""
    folders = [*_folders(folder)]
    found = {one.name for one in folders if _is_pipeline(one)}
    if found:  # then this is a base path
        found.add(journal.FOLDER)
    found |= {one.name for one in folders if _is_export(one)}
    if (folder / "texts" / LISTING).is_file():
        found |= {*_PAGE}
    return frozenset(found & {one.name for one in folders})


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


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders in another one, as far as it may be read; links are none."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
