"""What the crash tests start, kill and fill: runs, a Dask cluster, a small disk."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Self

import psutil

from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.local import LocalRunner
from fondant_spec.worker.dask_scheduling import SCHEDULER

KEPT = "what is finished is kept."
"""Part of the message of a step that runs out of disk space."""

WORKERS = 2
PATIENCE = 600.0
"""Seconds that a run may take."""


class Run:
    """A run of a plan in its own process, forked from this one so that all imports are done."""

    def __init__(self, plan: Plan, log: Path, environment: Mapping[str, str]) -> None:
        self._process = get_context("fork").Process(target=_run, args=[plan, log, environment])
        self._process.start()
        self.process = psutil.Process(self._process.pid)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return not self._process.is_alive()

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Return the exit code once the run has ended; None if it does not."""
        self._process.join(seconds)
        return self._process.exitcode

    def family(self) -> list[psutil.Process]:
        """Return the processes of the run: itself, the step, and the step's children."""
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []


def _run(plan: Plan, log: Path, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    LocalRunner().run(plan, lambda line: print(line, flush=True))


class Cluster:
    """A local Dask scheduler with two worker processes; those that end are replaced."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._address = f"tcp://127.0.0.1:{self._port}"
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._lock, self._ended = Lock(), Event()
        self._keeper = Thread(target=self._keep, daemon=True)

    def _keep(self) -> None:
        """Keep restarting what has ended, as a cluster manager does."""
        while not self._ended.wait(0.5):
            with self._lock:
                self._heal()

    def _heal(self) -> None:
        """Restart what has ended: the scheduler, at the same address, or workers."""
        if self._scheduler is None or self._scheduler.poll() is not None:
            words = ["--host", "127.0.0.1", "--port", str(self._port)]
            words += ["--dashboard-address", "127.0.0.1:0"]
            self._scheduler = _dask("scheduler", *words)
        self._workers = [one for one in self._workers if one.poll() is None]
        while len(self._workers) < WORKERS:
            words = [self._address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            self._workers.append(_dask("worker", *words))

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the scheduler and the workers."""
        with self._lock:
            self._heal()
            scheduler = [self._scheduler] if self._scheduler else []
            return {
                "scheduler": [psutil.Process(one.pid) for one in scheduler],
                "worker": [psutil.Process(one.pid) for one in self._workers],
            }

    def __enter__(self) -> Self:
        os.environ[SCHEDULER] = self._address
        self._keeper.start()
        return self

    def __exit__(self, *error: object) -> None:
        del os.environ[SCHEDULER]
        self._ended.set()
        self._keeper.join()
        for one in [self._scheduler, *self._workers]:
            if one is not None:
                one.kill()
                one.wait()


def _dask(what: str, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *words]
    # In a session of its own, as on another machine.
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)  # noqa: S603


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], object]]:
    """Mount a disk of so many bytes in a `with` statement; yield a function that enlarges it."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={size}", "none", folder], check=True)  # noqa: S603 - ours
    try:
        yield partial(subprocess.run, [*mount, "remount,size=1g", "none", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: S603, S607 - ours
