"""Spreading partitions over worker processes."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.checkpoint import read_checkpoint
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import StepFailedError
from tests.small import command, command_line, dataset, ended, rows, start, wait_for

pytestmark = pytest.mark.long


def started_and_waiting(tmp_path):
    """Return a step of two workers, one of which waits as long as a file is there; and the file."""
    gate = tmp_path / "gate"
    gate.touch()
    source = dataset(tmp_path, 1, number=list(range(6)))
    words = ("--input_manifest_path", source.location, "--workers", "2")
    return start(command("waits", tmp_path, *words, at=2, gate=str(gate))), gate


def test_two_workers_give_the_same_bytes(tmp_path):
    """Whether one process or two did the work, the files are the same."""
    numbers = list(range(20))
    hashes = []
    for workers in ("1", "2"):
        source = dataset(tmp_path / workers, 3, number=numbers)
        words = ("--input_manifest_path", source.location, "--workers", workers)
        argv = command("double", tmp_path / workers, *words, reject_odd=True)
        subprocess.run(argv, check=True, capture_output=True)
        (location,) = tmp_path.glob(f"{workers}/pipeline/double/*/manifest.json")
        made = Manifest.read(str(location))
        assert (validate(made), made.rejects) == ([], {"odd": 10})
        hashes.append([p.sha256 for p in made.partitions])
    assert hashes[0] == hashes[1]


def test_a_killed_worker_loses_one_partition(tmp_path):
    """When a worker is killed, another one takes over its partition, and all goes on."""
    process, gate = started_and_waiting(tmp_path)
    victim = int(wait_for(gate.with_suffix(".pids"), process))
    assert victim != process.pid
    gate.unlink()
    os.kill(victim, signal.SIGKILL)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    (location,) = tmp_path.glob("pipeline/waits/*/manifest.json")
    made = Manifest.read(str(location))
    assert [row["negative"] for row in rows(made)] == [0, -1, -2, -3, -4, -5]
    assert validate(made) == []


def test_a_killed_worker_takes_no_other_along(tmp_path):
    """What another process is at goes on there; nothing of it is done again."""
    process, gate = started_and_waiting(tmp_path)
    waiting = int(wait_for(gate.with_suffix(".pids"), process))
    for other in workers_of(process) - {waiting}:
        os.kill(other, signal.SIGKILL)
    while len(workers_of(process) - {waiting}) != 1:  # a new one is there
        assert process.poll() is None
        time.sleep(0.05)
    gate.unlink()
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    (location,) = tmp_path.glob("pipeline/waits/*/manifest.json")
    done = read_checkpoint(str(location.parent / "checkpoints" / "part-00002.json"))
    assert done.work.worker.endswith(f":{waiting}")


def workers_of(process):
    """Return the process ids of a step's workers."""
    children = psutil.Process(process.pid).children()
    return {one.pid for one in children if "spawn_main" in command_line(one)}


def test_an_interrupt_ends_the_workers(tmp_path):
    """A signal to a step with workers ends them all, with exit code 130."""
    process, gate = started_and_waiting(tmp_path)
    worker = int(wait_for(gate.with_suffix(".pids"), process))
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert ended([worker])


def test_a_killed_step_leaves_no_worker(tmp_path):
    """Workers end with the step that started them, however that ended."""
    process, gate = started_and_waiting(tmp_path)
    worker = int(wait_for(gate.with_suffix(".pids"), process))
    process.kill()
    process.communicate()
    assert ended([worker])


def test_workers_share_the_cores(tmp_path):
    """Each is told its share: of the threads that libraries start by themselves, too."""
    process, gate = started_and_waiting(tmp_path)
    worker = psutil.Process(int(wait_for(gate.with_suffix(".pids"), process)))
    share = str(max(1, cpu_count() // 2))
    told = worker.environ()
    gate.unlink()
    process.communicate(timeout=60)
    assert [told[name] for name in ("LOKY_MAX_CPU_COUNT", "OMP_NUM_THREADS")] == [share, share]


def test_workers_open_no_port(tmp_path):
    """Nobody else on the machine can reach them."""
    process, gate = started_and_waiting(tmp_path)
    wait_for(gate.with_suffix(".pids"), process)
    step = psutil.Process(process.pid)
    family = [step, *step.children(recursive=True)]
    listening = [c for one in family for c in one.net_connections("inet") if c.status == "LISTEN"]
    gate.unlink()
    process.communicate(timeout=60)
    assert len(family) > 2
    assert listening == []


def test_a_partition_that_kills_its_workers(enter, tmp_path):
    """It is named after a few times; the others are finished and kept."""
    source = dataset(tmp_path, 1, number=list(range(6)))
    with pytest.raises(StepFailedError, match="part-00002: the worker process was killed 3 times"):
        enter("misbehave", source, words=["--workers", "2"], how="die_at_2")
    kept = {file.stem for file in tmp_path.glob("pipeline/misbehave/*/checkpoints/*.json")}
    assert kept == {f"part-{n:05d}" for n in range(6)} - {"part-00002"}


def test_an_error_that_cannot_be_sent(enter, tmp_path):
    """What went wrong in a worker is said, whatever its error is made of."""
    source = dataset(tmp_path, 1, number=[1, 2])
    with pytest.raises(RuntimeError, match="OddError: an operation gave an answer"):
        enter("misbehave", source, words=["--workers", "2"], how="raise_odd")


def test_workers_are_torn_down(enter, tmp_path):
    """Each process lets go of what it took, once."""
    model, log = tmp_path / "model", tmp_path / "log"
    model.write_text("A")
    source = dataset(tmp_path, 1, number=list(range(6)))
    words = ["--workers", "2"]
    enter("stamp", source, words=words, model=str(model), log=str(log), seconds=0.5)
    lines = [line.split() for line in log.read_text().splitlines()]
    ended = [pid for pid, what in lines if what == "down"]
    assert sorted(ended) == sorted({pid for pid, what in lines if what != "down"})


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mb(argv: list[str]) -> float:
    """Return the peak memory of a command in MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *argv], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1000


def test_memory_is_bounded_by_the_batch(tmp_path):
    """Loading and transforming 600 values of 1 MB each stays below 550 MB.

    Beside the program's own 170 there are a batch of 16, a row group of 32 with its one copy, and
    what is put aside of a partition that takes long.
    """
    base = tmp_path / "base"
    out = tmp_path / "out"
    words = ("--output_manifest_path", str(out), "--rows_per_partition", "100")
    assert peak_mb(command("pictures", base, *words, rows=600)) < 500
    words = ("--input_manifest_path", out.read_text(encoding="utf-8"), "--workers", "1")
    assert peak_mb(command("flip", base, *words)) < 550


def test_memory_does_not_grow_with_partitions(tmp_path):
    """A hundred partitions peak within a tenth of what ten do."""
    peaks = {}
    for count in (10, 100):
        base = tmp_path / str(count)
        source = dataset(base, 1000, number=list(range(1000 * count)))
        words = ("--input_manifest_path", source.location, "--workers", "1")
        peaks[count] = peak_mb(command("double", base, *words))
    assert peaks[100] < peaks[10] * 1.1, peaks
