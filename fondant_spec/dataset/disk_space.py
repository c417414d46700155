"""The space that a step leaves free on the disk of its base path: it stops before that is used up.

Whoever shares a disk that is full fails, too; so a step ends while there is some left.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import StorageError
from fondant_spec.plain_words import size

MOST_LEFT: Final = 512 << 20
"""Bytes that are left free; on a small disk less."""

SHARE_LEFT: Final = 0.05
"""The share of a disk that is left free; of a large one less."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WHAT_TO_DO: Final = (
    "Make room (`fondant-spec gc` removes old results) or choose another BASE_PATH, and run again; "
    "what is finished is kept."
)


def check_space(folder: str) -> None:
    """Make sure that the disk of a folder has more room than is to be left free.

    Raises:
        StorageError: it has not; the message says how much there is, and what to do.
    """
    if storage.is_remote(folder):
        return
    place = Path(folder)
    while not place.exists():
        place = place.parent
    disk = shutil.disk_usage(place)
    margin = min(MOST_LEFT, int(SHARE_LEFT * disk.total))
    if disk.free < margin:
        msg = (
            f"{folder}: {size(disk.free)} are free on its disk, and {size(margin)} must "
            f"stay so. {_WHAT_TO_DO}"
        )
        raise StorageError(msg)


def disk_use(folder: str) -> int:
    """Return how many bytes there are below a folder; 0 if it is not there."""
    fs, path = storage.filesystem(folder)
    try:
        return int(fs.du(path))
    except FileNotFoundError:
        return 0


@contextmanager
def full_disk_told(folder: str) -> Iterator[None]:
    """Tell of a disk that is full, or a quota or limit that is used up, in a sentence.

    Raises:
        StorageError: one is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = error.filename or folder
        msg = f"{where}: the disk is full ({error.strerror}). {_WHAT_TO_DO}"
        raise StorageError(msg) from None
