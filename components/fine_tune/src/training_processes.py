"""Data-parallel training on several GPUs of a machine, one process for each."""

import os
import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from acceleration import accelerated
from base_model import load_base
from training_job import Settings, TrainingJob
from training_set import TrainingSet

from fondant_spec.errors import FondantError, StepFailedError
from fondant_spec.lifeline import end_with_parent
from fondant_spec.shown_text import log_to_stderr

_HOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class Share:
    """What is sent to each process: the model, the settings, the samples, and the work folder."""

    model_id: str
    revision: str | None
    prediction_type: str | None
    settings: Settings
    samples: TrainingSet
    folder: Path
    device: str


def train_together(share: Share) -> None:
    """Train in as many processes as configured; the result is the last checkpoint.

    Raises:
        FondantError: raised by one of them.
        StepFailedError: one of them ended in any other way.
    """
    context, count = get_context("spawn"), share.settings.run.num_processes
    port, processes, errors = _free_port(), [], []
    try:
        for rank in range(count):
            told, teller = context.Pipe(duplex=False)
            arguments = (share, rank, count, port, teller)
            processes.append(context.Process(target=_take_share, args=arguments, daemon=True))
            errors.append(told)
            processes[-1].start()
            teller.close()  # this process's copy, so that EOF signals an end
        _await_all(processes, errors)
    finally:
        for process in processes:
            if process.is_alive():  # it waits for one that has ended
                process.kill()


def _await_all(processes: Sequence[Any], errors: Sequence[Connection]) -> None:
    waiting = {process.sentinel: number for number, process in enumerate(processes)}
    while waiting:
        for sentinel in wait([*waiting]):
            number = waiting.pop(sentinel)
            process, told = processes[number], errors[number]
            process.join()
            with suppress(EOFError):  # it had nothing to report
                raise told.recv()
            if process.exitcode:
                msg = (
                    f"The process that trains on device {number} has ended ({process.exitcode}), "
                    "most likely for want of memory: see above."
                )
                raise StepFailedError(msg, temporary=False)


def _take_share(share: Share, rank: int, count: int, port: int, errors: Connection) -> None:
    """Run as one of the processes."""
    end_with_parent()
    log_to_stderr()
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(number) for name, number in numbers.items()}
    os.environ |= {"MASTER_ADDR": _HOST, "MASTER_PORT": str(port)}
    try:
        base = load_base(share.model_id, share.revision, share.prediction_type)
        with accelerated(share.device, share.settings.precision) as accelerator:
            TrainingJob(base, share.settings, share.folder, accelerator).train(share.samples)
    except FondantError as error:
        errors.send(error)


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind((_HOST, 0))
        return int(listener.getsockname()[1])
