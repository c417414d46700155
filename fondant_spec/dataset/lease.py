"""Leases: one run at a time writes a step's folder, or a slice of its partitions.

A lease is a small file, `leases/<i>-of-<n>`, that names its owner and is renewed at a fixed
interval. A run that finds one waits. It takes the lease over when the owner is gone: immediately if
that was a process on this machine that no longer exists, otherwise when the lease has not been
renewed for `GONE_AFTER` seconds on the waiting process's own clock; clocks of two machines are
never compared. All changes are conditional writes, so that only one of those who wait takes over,
and the owner notices: it checks its lease before it commits a partition or a manifest.
"""

import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import Final

from fondant_spec.dataset import conditional_writes, storage
from fondant_spec.dataset.layout import StepFolder
from fondant_spec.dataset.lease_owner import Owner
from fondant_spec.errors import LeaseLostError, StorageError

INTERVAL: Final = 10.0
"""Seconds between two renewals."""

GONE_AFTER: Final = 6 * INTERVAL
"""Seconds without a renewal after which an owner on another machine counts as gone."""

WHOLE: Final = (0, 1)
"""The slice that covers the whole step."""

_NAME: Final = re.compile(r"(\d+)-of-(\d+)")
_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lease:
    """A held lease; it can be sent to worker processes, which check it, too."""

    url: str
    token: str

    def check(self) -> None:
        """Check that the lease is still held.

        Raises:
            LeaseLostError: another run has taken it over, or it was removed.
            StorageError: it cannot be read.
        """
        found = conditional_writes.read(self.url)
        owner = Owner.from_json(found.text) if found else None
        if owner and owner.token == self.token:
            return
        if owner:
            why = f"this run was stopped for too long, and {owner.in_words()} took over"
        else:
            why = "somebody removed the lease of this run, or what it lies in"
        msg = f"{self.url}: {why}; what is finished is kept."
        raise LeaseLostError(msg)


@contextmanager
def held(folder: StepFolder, run_id: str, part: tuple[int, int] = WHOLE) -> Iterator[Lease | None]:
    """Wait for the lease of a slice, and hold it for the duration of a `with` statement.

    Yields None on storage that does not support leases.
    """
    if not conditional_writes.are_possible(folder.location):
        msg = "%s: no lock can be had on this kind of storage; start no second run beside this one"
        logger.warning(msg, folder.step_id)
        yield None
        return
    claim = _Claim(folder, run_id, part)
    claim.wait()
    with _renewed(claim):
        yield claim.lease


@contextmanager
def held_if_free(folder: StepFolder, run_id: str) -> Iterator[bool]:
    """Hold the lease of a whole step if none of its leases is held; yield whether it is held."""
    if not conditional_writes.are_possible(folder.location):
        yield True
        return
    claim = _Claim(folder, run_id, WHOLE)
    if claim.take() is not None:
        yield False
        return
    with _renewed(claim):
        yield True


def is_held(folder: StepFolder) -> bool:
    """Return whether a run holds a lease of a step, as far as this is known without waiting."""
    if not conditional_writes.are_possible(folder.location):
        return False
    found = (conditional_writes.read(url) for url in _leases(folder).values())
    return any(one and not Owner.from_json(one.text).is_gone() for one in found)


def _leases(folder: StepFolder) -> dict[tuple[int, int], str]:
    """Return the existing leases of a step, held or not, by slice."""
    places = folder.leases
    names = map(_NAME.fullmatch, {*storage.folders(places), *storage.sizes(places)})
    return {(int(m[1]), int(m[2])): storage.join(places, m[0]) for m in names if m}


@dataclass
class _Seen:
    """A version of another's lease, and when this process first saw it."""

    version: str
    at: float = field(default_factory=time.monotonic)


class _Claim:
    """A request for a lease, and the lease once it is held."""

    def __init__(self, folder: StepFolder, run_id: str, part: tuple[int, int]) -> None:
        self._folder = folder
        self._slices = part[1]
        self._owner = Owner.of_this_process(run_id)
        self._version: str | None = None
        self._seen: dict[str, _Seen] = {}
        url = storage.join(folder.leases, f"{part[0]}-of-{part[1]}")
        self.lease = Lease(url, self._owner.token)

    def wait(self) -> None:
        """Take the lease as soon as it is free; log once who holds it until then."""
        told, pause = None, _PAUSE
        while other := self.take():
            if other.token != told:
                logger.info("%s: waits for %s", self._folder.step_id, other.in_words())
                told = other.token
            # At random, so that two processes that gave way to each other do not collide again.
            time.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - no secret
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def take(self) -> Owner | None:
        """Take the lease; return the owner of a lease that is in the way, if any."""
        while self._version is None:
            found = conditional_writes.read(self.lease.url)
            if found is None:
                self._version = conditional_writes.create(self.lease.url, self._owner.to_json())
                continue
            holder = self._live_owner(self.lease.url, found)
            if holder is not None:
                return holder
            self._version = conditional_writes.replace(
                self.lease.url, self._owner.to_json(), found.version
            )
            before = Owner.from_json(found.text)
            if self._version and not before.done:
                logger.info(
                    "%s: takes over from %s, which is gone",
                    self._folder.step_id,
                    before.in_words(),
                )
        # A run that uses another number of slices has leases of other names.
        try:
            rival = next(self._rivals(), None)
        except (StorageError, OSError):
            with suppress(StorageError, OSError):
                self.give_back()
            raise
        if rival is not None:
            self.give_back()
        return rival

    def renew(self) -> bool:
        """Renew the lease; return whether it is still held."""
        self._write(self._owner.renewed_now())
        return self._version is not None

    def give_back(self) -> None:
        """Release the lease; no effect if it was lost."""
        self._write(replace(self._owner, done=True))
        self._version = None

    def _write(self, owner: Owner) -> None:
        """Write the lease if it is still held; otherwise `_version` becomes None."""
        for _ in range(2):  # an earlier write may have been done and its answer lost
            if self._version is None:
                return
            text = owner.to_json()
            written = conditional_writes.replace(self.lease.url, text, self._version)
            if written is not None:
                self._version = written
                return
            found = conditional_writes.read(self.lease.url)
            ours = found and Owner.from_json(found.text).token == self.lease.token
            self._version = found.version if found and ours else None

    def _rivals(self) -> Iterator[Owner]:
        for (_, slices), url in _leases(self._folder).items():
            found = conditional_writes.read(url) if slices != self._slices else None
            owner = self._live_owner(url, found) if found else None
            if owner:
                yield owner

    def _live_owner(self, url: str, found: conditional_writes.Written) -> Owner | None:
        owner = Owner.from_json(found.text)
        if owner.is_gone():
            return None
        seen = self._seen.get(url)
        if seen is None or seen.version != found.version:
            seen = self._seen[url] = _Seen(found.version)
        return owner if time.monotonic() - seen.at < GONE_AFTER else None


@contextmanager
def _renewed(claim: _Claim) -> Iterator[None]:
    """Renew a lease in a thread for the duration of a `with` statement, then release it."""
    ended = Event()

    def renew() -> None:
        held_still = True
        while held_still and not ended.wait(INTERVAL):
            with suppress(StorageError, OSError):  # unavailable for a while: `check` decides
                held_still = claim.renew()

    thread = Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(INTERVAL)
        if not thread.is_alive():  # else the storage does not respond, and the lease expires
            with suppress(StorageError, OSError):
                claim.give_back()
