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
_MAKE_ROOM: Final = "Make room (`fondant-spec gc` removes old results)"
_AGAIN: Final = "and run again; what is finished is kept."


def check_space(folder: str) -> None:
    """Make sure that the disk of a folder has more room than is to be left free.

    Raises:
        StorageError: it has not; the message says how much there is, and what to do.
    """
    if storage.is_remote(folder):
        return
    total, _, free = _disk_usage(folder)
    margin = min(MOST_LEFT, int(SHARE_LEFT * total))
    if free < margin:
        msg = (
            f"{folder}: {size(free)} are free on its disk, and {size(margin)} must stay so. "
            f"{_MAKE_ROOM} or choose another BASE_PATH, {_AGAIN}"
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
def full_disk_told(*places: str) -> Iterator[None]:
    """Tell of a disk that is full, or a quota or limit that is used up, in a sentence.

    `places` are those that are written to: where the system does not say which file it was, the one
    with the least room is named.

    Raises:
        StorageError: one is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        local = [place for place in places if not storage.is_remote(place)] or [str(Path.cwd())]
        where = error.filename or min(local, key=lambda place: _disk_usage(place).free)
        msg = (
            f"{where}: the disk is full ({error.strerror}). {_MAKE_ROOM} or write elsewhere, "
            f"{_AGAIN}"
        )
        raise StorageError(msg) from None


def _disk_usage(folder: str) -> "shutil._ntuple_diskusage":
    """Return the total, used and free bytes of the disk of a folder, which may not be there yet."""
    place = Path(folder)
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place)
