"""Leases: one run at a time writes a step's folder, and takes over from a run that is gone."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from fondant_spec.dataset import conditional_writes, lease
from fondant_spec.dataset.layout import StepFolder
from fondant_spec.dataset.lease_owner import Owner
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import LeaseLostError
from tests.moved_clock import MovedClock
from tests.small import command, dataset, rows, start, until, wait_for


@pytest.fixture
def folder(tmp_path):
    """Return a step's folder, in which nobody writes."""
    return StepFolder(str(tmp_path / "pipeline" / "step" / "key"))


@pytest.fixture
def waiting(tmp_path):
    """Return the command of a step that waits in its third partition, and its gate."""
    gate = tmp_path / "gate"
    gate.touch()
    source = dataset(tmp_path, 2, number=list(range(8)))
    words = ["--input_manifest_path", source.location, "--workers", "1", "--run_id", "first"]
    return command("waits", tmp_path, *words, at=4, gate=str(gate)), gate


def the_step(base: Path) -> str:
    """Return the only folder of the step that waits."""
    (found,) = base.glob("pipeline/waits/*")
    return str(found)


def test_the_second_run_waits(waiting, tmp_path):
    """A second run says which run it waits for, and then takes what that one has made."""
    argv, gate = waiting
    first = start(argv)
    wait_for(gate.with_suffix(".pids"), first)
    second = start([word.replace("first", "second") for word in argv])
    said = second.stdout.readline()
    assert "INFO waits: waits for run first (host " in said
    assert f"pid {first.pid}, since 20" in said
    gate.unlink()
    assert first.wait(60) == 0
    rest = second.communicate(timeout=60)[0]
    assert (second.returncode, rest.count("already done, 8 rows")) == (0, 1)
    assert Manifest.read(the_step(tmp_path)).run_id == "first"


def test_an_owner_that_was_stopped_for_long(waiting, enter, monkeypatch):
    """It finds that another run took its place before it commits anything, and says so."""
    argv, gate = waiting
    first = start(argv)
    wait_for(gate.with_suffix(".pids"), first)
    first.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(lease, "GONE_AFTER", 0.1)
    source = Manifest.read(argv[argv.index("--input_manifest_path") + 1])
    gate.rename(gate.with_suffix(".kept"))
    made = enter("waits", source, at=4, gate=str(gate), words=["--run_id", "second"])
    files = {path: path.stat().st_mtime_ns for path in Path(made.folder).rglob("*.*")}
    first.send_signal(signal.SIGCONT)
    said = first.communicate(timeout=60)[0]
    assert first.returncode == 1
    assert said.splitlines()[-1].startswith("error: ")
    assert "this run was stopped for too long, and run second (host " in said
    assert {path: path.stat().st_mtime_ns for path in Path(made.folder).rglob("*.*")} == files
    assert validate(made) == []
    assert [row["negative"] for row in rows(made)] == [-n for n in range(8)]


def test_an_owner_elsewhere(folder, monkeypatch, caplog):
    """Of an owner on another machine nothing is known but that it renews its lease, or does not."""
    caplog.set_level("INFO")
    owner = replace(Owner.of_this_process("theirs"), host="elsewhere", machine="other")
    url = f"{folder.leases}/0-of-1"
    conditional_writes.create(url, owner.to_json())
    renewed: list[float] = []

    def renew_for_a_while() -> None:
        if len(renewed) < 4:
            version = conditional_writes.read(url).version
            assert conditional_writes.replace(url, owner.to_json(), version), "taken too soon"
            renewed.append(clock.now)

    clock, seen = MovedClock(renew_for_a_while), lease._Seen
    monkeypatch.setattr(lease, "time", clock)
    monkeypatch.setattr(lease, "_Seen", lambda version: seen(version, clock.now))
    for pause in ("_PAUSE", "_LONGEST_PAUSE"):  # of which at least half is slept
        monkeypatch.setattr(lease, pause, 0.8 * lease.GONE_AFTER)
    with lease.held(folder, "ours") as held:
        held.check()
    assert renewed[-1] - renewed[0] > lease.GONE_AFTER
    assert clock.now - renewed[-1] >= lease.GONE_AFTER
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "step: waits for run theirs",
        "step: takes over from run theirs",
    ]


def test_a_lease_that_is_removed(folder, tmp_path, monkeypatch):
    """Who removes the base path under a run has it end with a sentence."""
    monkeypatch.setattr(lease, "INTERVAL", 0.05)
    with lease.held(folder, "ours") as held:
        first = conditional_writes.read(held.url).version
        until(lambda: conditional_writes.read(held.url).version != first)
        held.check()
        Path(folder.location).rename(tmp_path / "away")
        with pytest.raises(LeaseLostError, match="somebody removed the lease of this run"):
            held.check()


def test_a_renewal_whose_answer_is_lost(folder, monkeypatch):
    """A renewal that was done, though the storage failed to say so, is no lost lease."""
    replaced = conditional_writes.replace
    lost, renewed = Event(), Event()

    def fails(*arguments):
        if replaced(*arguments):
            lost.set()
        raise OSError

    def works(*arguments):
        written = replaced(*arguments)
        if written:
            renewed.set()
        return written

    monkeypatch.setattr(lease, "INTERVAL", 0.05)
    with lease.held(folder, "ours") as held:
        monkeypatch.setattr(conditional_writes, "replace", fails)
        assert lost.wait(60)
        monkeypatch.setattr(conditional_writes, "replace", works)
        assert renewed.wait(60)
        held.check()
    assert Owner.from_json(conditional_writes.read(f"{folder.leases}/0-of-1").text).done


def test_a_lease_is_given_back_after_an_answer_was_lost(folder, monkeypatch):
    """Whoever comes next need not wait until it lapses."""
    replaced = conditional_writes.replace

    def fails(*arguments):
        replaced(*arguments)
        raise OSError(5, "no answer")

    claim = lease._Claim(folder, "ours", lease.WHOLE)
    claim.wait()
    monkeypatch.setattr(conditional_writes, "replace", fails)
    with pytest.raises(OSError, match="no answer"):
        claim.renew()
    monkeypatch.setattr(conditional_writes, "replace", replaced)
    claim.give_back()
    assert Owner.from_json(conditional_writes.read(f"{folder.leases}/0-of-1").text).done
    claim.give_back()  # which changes nothing


def test_a_lease_is_given_back_when_the_storage_fails(folder, monkeypatch):
    """It was taken already, and who else has one could not be found out."""
    claim = lease._Claim(folder, "ours", lease.WHOLE)

    def fails():
        raise OSError(5, "no answer")

    monkeypatch.setattr(claim, "_rivals", fails)
    with pytest.raises(OSError, match="no answer"):
        claim.take()
    assert Owner.from_json(conditional_writes.read(f"{folder.leases}/0-of-1").text).done


@pytest.mark.parametrize(("where", "times"), [("disk", 40), ("s3", 12)])
def test_at_any_time_one_writes(request, tmp_path, where, times, monkeypatch):
    """Slices of one cut hold their leases side by side; else one holds all, whoever else tries."""
    base = tmp_path if where == "disk" else request.getfixturevalue("s3_base")
    folder = StepFolder(f"{base}/pipeline/step/key")
    with lease.held(folder, "a", (0, 2)), lease.held(folder, "b", (1, 2)):
        assert lease.is_held(folder)
    assert not lease.is_held(folder)
    monkeypatch.setattr(lease, "_PAUSE", 0.002)
    monkeypatch.setattr(lease, "_LONGEST_PAUSE", 0.01)
    here: list[tuple[int, int]] = []

    def work(seed: int) -> None:
        part = random.Random(seed).choice([(0, 1), (0, 2), (1, 2), (0, 3)])
        with lease.held(folder, f"run-{seed}", part):
            here.append(part)
            time.sleep(0.002)
            now = list(here)
            here.remove(part)
        assert len(set(now)) == len(now)
        assert len({slices for _, slices in now}) == 1

    with ThreadPoolExecutor(6) as threads:
        assert len(list(threads.map(work, range(times)))) == times
