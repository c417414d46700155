"""Spreading partitions over the user's own Dask cluster."""

import sys
import threading
from contextlib import contextmanager

import pytest
from distributed import Client, LocalCluster

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import CardinalityError, StepFailedError
from fondant_spec.worker.component_code import component_class
from tests.small import COMPONENTS, command, dataset, rows, start, wait_for

pytestmark = pytest.mark.long

ADDRESS = "DASK_SCHEDULER_ADDRESS"


def cluster_of(workers: int, port: int = 0, **options: object) -> LocalCluster:
    """Return a cluster of so many worker processes."""
    return LocalCluster(
        n_workers=workers,
        scheduler_port=port,
        dashboard_address=None,
        host="127.0.0.1",
        **options,
    )


@pytest.fixture
def scheduler(monkeypatch):
    """Return a cluster of the user's own, with one worker of two threads."""
    with cluster_of(1, threads_per_worker=2) as cluster:
        monkeypatch.setenv(ADDRESS, cluster.scheduler_address)
        yield cluster


@pytest.mark.usefixtures("scheduler")
def test_a_cluster_of_your_own(enter, tmp_path):
    """Steps that follow one another, or run at once, do not mix on a cluster that stays.

    Its worker has two threads, yet each partition has its own rejects.
    """
    source = dataset(tmp_path, 1, number=list(range(12)))
    made = {}

    def run(factor: int) -> None:
        made[factor] = enter("double", source, factor=factor, reject_odd=True)

    threads = [threading.Thread(target=run, args=(factor,)) for factor in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for factor in (2, 3):
        assert [row["double"] for row in rows(made[factor])] == [
            n * factor for n in range(0, 12, 2)
        ]
        assert made[factor].rejects == {"odd": 6}


@pytest.mark.usefixtures("scheduler")
def test_errors_come_back_as_they_are(enter, tmp_path):
    """What a component does wrong in a worker is the same error as in one process."""
    source = dataset(tmp_path, 1, number=[1, 2])
    with pytest.raises(CardinalityError) as caught:
        enter("misbehave", source, how="lose")
    assert str(caught.value).startswith("misbehave: the component lost row ")


def test_all_workers_of_a_cluster_are_used(enter, tmp_path, monkeypatch):
    """How many there are is the cluster's own matter, not that of the cores here."""
    monkeypatch.setattr("fondant_spec.worker.run_step.cpu_count", lambda: 1)
    model, log = tmp_path / "model", tmp_path / "log"
    model.write_text("A")
    source = dataset(tmp_path, 1, number=list(range(8)))
    with cluster_of(4, threads_per_worker=1) as cluster:
        monkeypatch.setenv(ADDRESS, cluster.scheduler_address)
        enter("stamp", source, model=str(model), log=str(log), seconds=1.0)
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 4


def test_a_partition_that_kills_its_workers(enter, tmp_path, monkeypatch):
    """It is named after a few times; the others are finished and kept."""
    source = dataset(tmp_path, 1, number=list(range(6)))
    with cluster_of(2, threads_per_worker=1) as cluster:
        monkeypatch.setenv(ADDRESS, cluster.scheduler_address)
        with pytest.raises(StepFailedError, match="part-00002: one worker after the other"):
            enter("misbehave", source, how="die_at_2")
    kept = {file.stem for file in tmp_path.glob("pipeline/misbehave/*/checkpoints/*.json")}
    assert kept == {f"part-{n:05d}" for n in range(6)} - {"part-00002"}


def test_a_scheduler_that_starts_again(tmp_path, monkeypatch):
    """What was given to the one that is gone is given to the next, and nothing is lost."""
    gate = tmp_path / "gate"
    gate.touch()
    source = dataset(tmp_path, 1, number=list(range(6)))
    first = cluster_of(1, threads_per_worker=1)
    monkeypatch.setenv(ADDRESS, first.scheduler_address)
    port = int(first.scheduler_address.rpartition(":")[2])
    words = ("--input_manifest_path", source.location)
    process = start(command("waits", tmp_path, *words, at=2, gate=str(gate)))
    wait_for(gate.with_suffix(".pids"), process)
    first.close()
    gate.unlink()
    with cluster_of(1, port, threads_per_worker=1):
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    (location,) = tmp_path.glob("pipeline/waits/*/manifest.json")
    made = rows(Manifest.read(str(location)))
    assert [row["negative"] for row in made] == [0, -1, -2, -3, -4, -5]


def test_no_scheduler(enter, tmp_path, monkeypatch):
    """Its address is named, and what to do."""
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:1")
    monkeypatch.setattr("fondant_spec.worker.dask_scheduling._PATIENCE", "0.5 s")
    with pytest.raises(StepFailedError, match="no Dask scheduler answers at"):
        enter("double", dataset(tmp_path, 1, number=[1, 2]))


def test_models_go_to_workers_with_a_gpu(enter, tmp_path, monkeypatch):
    """Where some workers say that they have one, what runs on a GPU runs there alone."""
    monkeypatch.setattr(component_class(COMPONENTS / "stamp"), "uses_device", True)
    model, log = tmp_path / "model", tmp_path / "log"
    model.write_text("A")
    source = dataset(tmp_path, 1, number=list(range(6)))
    with cluster_of(1, threads_per_worker=1) as cluster:
        monkeypatch.setenv(ADDRESS, cluster.scheduler_address)
        with gpu_worker(cluster) as pid:
            enter("stamp", source, model=str(model), log=str(log))
    assert {line.split()[0] for line in log.read_text().splitlines()} == {str(pid)}


@contextmanager
def gpu_worker(cluster):
    """Yield the process id of a worker that says that it has a GPU."""
    module = "distributed.cli.dask_worker"
    words = ["--resources", "GPU=1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    process = start([sys.executable, "-m", module, cluster.scheduler_address, *words])
    try:
        with Client(cluster.scheduler_address) as client:
            client.wait_for_workers(2, timeout=60)
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=60)
