"""What the crash campaign starts, kills and fills: runs, a Dask cluster, a small disk."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import psutil

from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.local import LocalRunner
from fondant_spec.worker.dask_scheduling import SCHEDULER

KEPT = "what is finished is kept."
"""What a step says that ends for want of room."""


WORKERS = 2
PATIENCE = 300.0
"""Seconds that a run may take."""


class Run:
    """A run of a plan in a process of its own, which has all imports done: a fork of this one."""

    def __init__(self, plan: Plan, log: Path) -> None:
        self._process = get_context("fork").Process(target=_run, args=[plan, log])
        self._process.start()
        self.process = psutil.Process(self._process.pid)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return not self._process.is_alive()

    def wait(self) -> int | None:
        """Return the exit code once the run has ended; None if it does not."""
        self._process.join(PATIENCE)
        return self._process.exitcode

    def family(self) -> list[psutil.Process]:
        """Return the processes of the run: itself, the step, what the step started."""
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []


def _run(plan: Plan, log: Path) -> None:
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    LocalRunner().run(plan, lambda line: print(line, flush=True))


class Cluster:
    """A Dask cluster of two worker processes here; those that are killed are replaced."""

    def __init__(self) -> None:
        from distributed import LocalCluster  # noqa: PLC0415 - where it is asked for alone

        self._cluster = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None)
        self._workers: list[subprocess.Popen[bytes]] = []

    def workers(self) -> list[psutil.Process]:
        """Return two workers, new ones in place of those that are gone."""
        self._workers = [one for one in self._workers if one.poll() is None]
        words = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
        while len(self._workers) < WORKERS:
            command = [sys.executable, "-m", "distributed.cli.dask_worker"]
            command += [self._cluster.scheduler_address, *words]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
            self._workers.append(process)
        return [psutil.Process(one.pid) for one in self._workers]

    def __enter__(self) -> Self:
        os.environ[SCHEDULER] = self._cluster.scheduler_address
        self.workers()
        return self

    def __exit__(self, *error: object) -> None:
        del os.environ[SCHEDULER]
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._cluster.close()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], object]]:
    """Mount a disk of so many bytes while a `with` statement lasts; yield what makes it large."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={size}", "none", folder], check=True)  # noqa: S603 - ours
    try:
        yield partial(subprocess.run, [*mount, "remount,size=1g", "none", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: S603, S607 - ours
