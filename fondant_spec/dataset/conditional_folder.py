"""A `conditional_writes` file on a disk: a folder in which a file name is the current version.

    lock/version-<before>.<token>     empty; exactly one at all times
    lock/text-<before>.<token>        the text of that version

To create it, a folder that is already filled is renamed, which fails if the target exists. To
replace it, `version-...` is renamed. Its name is never reused, so only one of several concurrent
renames succeeds; the others find it gone. Both are single calls, which the server of a shared
volume (NFS and the like) executes for all its machines. So two writers can never both win, and a
process that is stopped or killed never blocks another.
"""

import errno
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from fondant_spec.dataset import storage
from fondant_spec.errors import StorageError

_VERSION = "version-"
_TEXT = "text-"
# A machine can miss another's rename only while its cached view of a shared folder is stale.
_SEEN_WITHIN = 60.0
_ANSWERS_OF_STALE_FOLDERS = {errno.ENOENT, errno.ESTALE}


class FolderPlace:
    """The folder that represents one file."""

    def __init__(self, url: str) -> None:
        self._folder = Path(storage.filesystem(url)[1])

    def read(self) -> tuple[str, str] | None:
        """Return the text and version; None if the file does not exist."""
        deadline = time.monotonic() + _SEEN_WITHIN
        pause = 0.0005
        while True:
            try:
                names = [path.name for path in self._folder.iterdir()]
            except FileNotFoundError:
                return None
            except OSError as error:
                raise self._failure(error) from None
            for name in names:
                if name.startswith(_VERSION) and (found := self._text(name.removeprefix(_VERSION))):
                    return found
            # Replaced during the listing: a name that changes may be listed neither as old nor as
            # new.
            if time.monotonic() > deadline:
                msg = f"{self._folder}: is damaged, no version is in it; remove this folder."
                raise StorageError(msg)
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def create(self, text: str, token: str) -> str | None:
        """Create the file and return its version; None if it exists."""
        version = f".{token}"
        made = self._folder.with_name(f".{self._folder.name}.{token}.tmp")
        try:
            made.mkdir(parents=True)
            self._write(made / f"{_TEXT}{version}", text)
            (made / f"{_VERSION}{version}").touch()
            made.rename(self._folder)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise self._failure(error) from None
            return version if self._is_current(version) else None
        return version

    def replace(self, text: str, token: str, version: str) -> str | None:
        """Replace `version` and return the new one; None if it is no longer current."""
        new = f"{version.rpartition('.')[2]}.{token}"
        try:
            self._write(self._folder / f"{_TEXT}{new}", text)
            current = self._folder / f"{_VERSION}{version}"
            current.rename(self._folder / f"{_VERSION}{new}")
        except OSError as error:
            if self._is_current(new):  # done, but a shared volume lost the answer
                return new
            with suppress(OSError):
                (self._folder / f"{_TEXT}{new}").unlink()
            if error.errno not in _ANSWERS_OF_STALE_FOLDERS:
                raise self._failure(error) from None
            return None
        self._remove_texts(version, new)
        return new

    def _text(self, version: str) -> tuple[str, str] | None:
        try:
            return (self._folder / f"{_TEXT}{version}").read_text("utf-8"), version
        except OSError as error:
            if error.errno in _ANSWERS_OF_STALE_FOLDERS:
                return None
            raise self._failure(error) from None

    def _is_current(self, version: str) -> bool:
        return (self._folder / f"{_VERSION}{version}").exists()

    def _remove_texts(self, replaced: str, new: str) -> None:
        """Remove the replaced text, and the texts of writers that tried to replace it as well.

        All others stay: they may belong to writers that already build on the new version.
        """
        rivals = f"{_TEXT}{new.partition('.')[0]}."
        obsolete = {f"{_TEXT}{replaced}"}
        with suppress(OSError):
            obsolete |= {path.name for path in self._folder.glob(f"{rivals}*")}
            for name in obsolete - {f"{_TEXT}{new}"}:
                (self._folder / name).unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(f"{self._folder}: cannot be used ({error.strerror or error}).")
