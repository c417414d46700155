"""The files of a hub index that a search needs, downloaded once into the hub's own cache.

A download is announced with its size, and refused if it does not fit on the disk. An interrupted
download resumes where it stopped.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

from fondant_spec.dataset.disk_space import MOST_LEFT, full_disk_told
from fondant_spec.errors import InputDataError
from fondant_spec.plain_words import size
from fondant_spec.progress import SECONDS_BETWEEN_LINES
from image_toolkit.hub_errors import hub_failures_told
from image_toolkit.retrieval.hub.index_reference import IndexReference

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 4
_SHOWN: Final = 12


@dataclass(frozen=True)
class HubIndex:
    """The files of an index at the commit of `reference`, with their sizes in bytes.

    Their names are relative to the repository.
    """

    reference: IndexReference
    files: Mapping[str, int]

    @property
    def size(self) -> int:
        """The total size in bytes."""
        return sum(self.files.values())

    def missing(self) -> dict[str, int]:
        """Return the files that are not on this machine, with their sizes in bytes."""
        return {name: size for name, size in self.files.items() if self._here(name) is None}

    def describe(self) -> Iterator[str]:
        """Yield lines on what is needed, how large it is, and how much of it is already here."""
        yield f"{self.reference}: {len(self.files)} files, {size(self.size)}"
        for name in [*self.files][:_SHOWN]:
            yield f"  {name}  {size(self.files[name])}"
        if len(self.files) > _SHOWN:
            yield f"  and {len(self.files) - _SHOWN} more"
        wanted = size(sum(self.missing().values()))
        yield f"to fetch: {wanted}; free where the hub's cache lies: {size(_free())}"

    def fetch(self) -> Path:
        """Download what is missing, and return the folder of the index.

        Raises:
            InputDataError: the disk has no room for it, or the hub fails.
            StorageError: the disk became full.
        """
        if missing := self.missing():
            self._check_room(sum(missing.values()))
            with self._failures_told(), ThreadPoolExecutor(_AT_ONCE) as pool:
                self._fetch(missing, pool)
        first = next(iter(self.files))
        return Path(str(self._here(first))).parents[first.count("/")] / self.reference.folder

    def _here(self, name: str) -> str | None:
        repository, revision = self.reference.repository, self.reference.revision
        found = try_to_load_from_cache(repository, name, revision=revision, repo_type="dataset")
        return found if isinstance(found, str) else None

    def _check_room(self, wanted: int) -> None:
        logger.info("%s: %s are to be fetched", self.reference, size(wanted))
        if wanted + MOST_LEFT > _free():
            msg = (
                f"{self.reference}: {size(wanted)} are to be fetched, but where the hub's "
                f"cache lies ({constants.HF_HUB_CACHE}), {size(_free())} are free, of which "
                f"{size(MOST_LEFT)} must stay so. Make room, or set HF_HOME to a folder on a "
                f"larger disk."
            )
            raise InputDataError(msg)

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        name, revision = str(self.reference), self.reference.revision
        with full_disk_told(constants.HF_HUB_CACHE), hub_failures_told("index", name, revision):
            yield

    def _fetch(self, missing: Mapping[str, int], pool: ThreadPoolExecutor) -> None:
        done, total = 0, sum(missing.values())
        began = said = time.monotonic()
        fetched = {pool.submit(self._fetch_file, name): size for name, size in missing.items()}
        for future in as_completed(fetched):
            if error := future.exception():
                pool.shutdown(wait=False, cancel_futures=True)
                raise error
            done += fetched[future]
            now = time.monotonic()
            if now - said > SECONDS_BETWEEN_LINES or done == total:
                said, rate = now, size(int(done / max(now - began, 1e-3)))
                words = (self.reference, size(done), size(total), rate)
                logger.info("%s: %s of %s fetched, %s/s", *words)

    def _fetch_file(self, name: str) -> None:
        repository, revision = self.reference.repository, self.reference.revision
        hf_hub_download(repository, name, repo_type="dataset", revision=revision)


def _free() -> int:
    """Return the free bytes on the disk of the hub's cache."""
    place = Path(constants.HF_HUB_CACHE).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
