"""The owner of a lease, and whether its process still exists, as far as this machine can tell."""

import json
import os
import platform
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

_PROC: Final = Path("/proc")
_START_TIME: Final = 19
"""Index of the start time in a process's `stat`, counted from its state: `man 5 proc`."""

_CERTAINLY_GONE: Final = timedelta(days=1)


@dataclass(frozen=True)
class Owner:
    """A process that holds a lease.

    Attributes:
        token: unique each time a lease is taken.
        run_id: the run that the process works for.
        host: name of its machine, for people.
        machine: the boot and pid namespace that `pid` belongs to; empty if unknown.
        pid: its process id.
        born: when the process started, in clock ticks since that boot.
        since: when it took the lease, in UTC.
        renewed: when it last renewed it, by its own clock.
        done: whether it released the lease.
    """

    token: str
    run_id: str
    host: str
    machine: str
    pid: int
    born: str
    since: str
    renewed: str
    done: bool = False

    @classmethod
    def of_this_process(cls, run_id: str) -> Self:
        """Return this process as an owner, starting now."""
        pid = os.getpid()
        return cls(
            token=uuid.uuid4().hex,
            run_id=run_id,
            host=platform.node(),
            machine=_machine(),
            pid=pid,
            born=_born(pid) or "",
            since=_now(),
            renewed=_now(),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the content of a lease."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Serialise the owner as the content of a lease."""
        return json.dumps(asdict(self))

    def in_words(self) -> str:
        """Describe the run and the process so that a person can find them."""
        return f"run {self.run_id} (host {self.host}, pid {self.pid}, since {self.since})"

    def renewed_now(self) -> Self:
        """Return a copy whose last renewal is now."""
        return replace(self, renewed=_now())

    def is_gone(self) -> bool:
        """Return whether the owner can no longer write: certain only for processes of this machine.

        Clocks of two machines are not compared, except for a difference of a day.
        """
        if self.done:
            return True
        if self.machine and self.machine == _machine():
            return _born(self.pid) != self.born
        return datetime.now(UTC) - datetime.fromisoformat(self.renewed) > _CERTAINLY_GONE


def _now() -> str:
    return datetime.now(UTC).isoformat(sep=" ", timespec="seconds")


def _machine() -> str:
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    return ""


def _born(pid: int) -> str | None:
    """Return the start time of a process; None if it does not exist or is a zombie."""
    try:
        state, *rest = (
            (_PROC / f"{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        )
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else rest[_START_TIME - 1]
