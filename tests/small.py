"""The small components of the tests, and ways to run them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import psutil
import pyarrow as pa

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import RunLog, StepResult
from fondant_spec.spec.arguments import to_argv
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.testing import write_dataset
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run

COMPONENTS = Path(__file__).parent / "components"

Enter = Callable[..., Manifest]


def command(name: str, base: Path, *words: str, **arguments: object) -> list[str]:
    """Return the command that enters a small component, as a runner would start it."""
    spec = ComponentSpec.from_file(COMPONENTS / name)
    return [
        sys.executable,
        str(COMPONENTS / name / "src" / "main.py"),
        "--base_path",
        str(base),
        *words,
        *to_argv(spec.arguments, arguments),
    ]


def start(command: Sequence[str], **options: object) -> "subprocess.Popen[str]":
    """Start a command in a session of its own, with its output captured."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        **options,
    )


def dataset(folder: Path, rows_per_partition: int = 4, **columns: list[object]) -> Manifest:
    """Write columns as a dataset; `number` is of the type that the small components read."""
    types = {"number": pa.int64(), "image": pa.binary()}
    table = pa.table({name: pa.array(v, types.get(name)) for name, v in columns.items()})
    return write_dataset(table, folder, rows_per_partition=rows_per_partition)


def rows(manifest: Manifest) -> list[dict[str, object]]:
    """Return all rows of a dataset with all its fields, read as a later step would."""
    return [
        row
        for partition in manifest.partitions
        for batch in read_batches(manifest.fields, manifest.index_location, partition.name)
        for row in batch.to_pylist()
    ]


def until(holds: Callable[[], object], within: float = 60.0) -> None:
    """Wait until something holds; it must within some seconds."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def wait_for(path: Path, process: "subprocess.Popen[str] | None" = None) -> str:
    """Return the content of a file once it is there; `process` must not end before that."""
    end = time.monotonic() + 60
    while not path.exists():
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)
    return path.read_text(encoding="utf-8")


def command_line(process: psutil.Process) -> str:
    """Return the words that a process was started with; none of one that is gone, or a zombie."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def is_alive(pid: int) -> bool:
    """Return whether a process is there and not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def ended(pids: Collection[int], within: float = 60.0) -> bool:
    """Return whether processes end within some seconds."""
    end = time.monotonic() + within
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(is_alive, pids))


def run_here(plan: Plan) -> list[Manifest]:
    """Run a plan as the local runner does, but in this process, which is quicker."""
    log = RunLog(plan)
    made: dict[str, Manifest] = {}
    for planned in plan.steps:
        inputs = [made[name].location for name in planned.step.after]
        argv = plan.argv(planned, inputs, "/dev/null")
        manifest = run(component_class(planned.spec.path.parent), argv)
        made[planned.id] = manifest
        log.add(StepResult(planned.id, manifest, 0.0, cached=False))
    log.finish("succeeded")
    return list(made.values())
