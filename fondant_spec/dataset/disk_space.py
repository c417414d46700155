"""A reserve of disk space at the base path: a step stops before it is used up.

A full disk also breaks everyone else who uses it; so a step ends while some space is left.
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
"""The upper limit of the reserve, in bytes."""

SHARE_LEFT: Final = 0.05
"""The reserve as a share of the disk, up to `MOST_LEFT`."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAKE_ROOM: Final = "Make room (`fondant-spec gc` removes old results)"
_AGAIN: Final = "and run again; what is finished is kept."


def check_space(folder: str) -> None:
    """Check that the disk of a folder has more free space than the reserve.

    Raises:
        StorageError: it has less; the message says how much there is, and what to do.
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
    """Return the total size of the files below a folder, in bytes; 0 if it does not exist."""
    fs, path = storage.filesystem(folder)
    try:
        return int(fs.du(path))
    except FileNotFoundError:
        return 0


@contextmanager
def full_disk_told(*places: str) -> Iterator[None]:
    """Turn errors about a full disk, or an exceeded quota or limit, into a `StorageError`.

    `places` are the places written to: if the system does not say which file it was, the one with
    the least space is named.

    Raises:
        StorageError: a disk is full, or a quota or limit is exceeded.
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
    """Return total, used and free bytes of the disk of a folder that may not exist yet."""
    place = Path(folder)
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place)
