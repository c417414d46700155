"""Interrupting a step, by kill -9, a signal or an error, and resuming it."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import InvalidDatasetError, RejectThresholdError
from fondant_spec.progress import Progress
from fondant_spec.testing import run_component
from tests.small import command, dataset, rows, start, wait_for


def files_of(folder: str | Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and time of writing of each data file."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(Path(folder).glob("data/*"))
    }


@pytest.fixture
def waiting(tmp_path):
    """Return the command of a step that waits in its third partition, and its gate."""
    gate = tmp_path / "gate"
    gate.touch()
    source = dataset(tmp_path, 2, number=list(range(12)))
    words = ["--input_manifest_path", source.location, "--workers", "1"]
    return command("waits", tmp_path, *words, at=4, gate=str(gate)), gate


def the_step(base: Path, name: str = "waits") -> Path:
    """Return the folder of the only result of a step."""
    (folder,) = base.glob(f"pipeline/{name}/*")
    return folder


def test_kill_9_costs_one_partition(waiting, tmp_path):
    """After kill -9 the finished partitions are kept, and only the missing ones are computed."""
    argv, gate = waiting
    process = start(argv)
    wait_for(gate.with_suffix(".pids"), process)
    process.kill()
    process.communicate()
    folder = the_step(tmp_path)
    before = files_of(folder)
    assert [name for name in before if name.endswith(".parquet")] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert not (folder / "manifest.json").exists()
    (folder / "checkpoints" / ".part-00002.json.0.tmp").write_text('{"na', encoding="utf-8")
    (folder / "data" / ".part-00002.parquet.0.tmp").write_bytes(b"PAR1 half")
    gate.unlink()
    log = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    assert f"pid {process.pid}, since " in log  # at once: it was a process of this machine
    assert "waits: takes over from run " in log
    assert "waits goes on: 4 rows done, in 2 of 6 partitions" in log
    after = files_of(folder)
    assert list(after) == [f"part-0000{n}.parquet" for n in range(6)]
    assert {name: after[name] for name in before if not name.startswith(".")} == {
        name: value for name, value in before.items() if not name.startswith(".")
    }
    made = Manifest.read(str(folder))
    assert [row["negative"] for row in rows(made)] == [-n for n in range(12)]
    assert validate(made) == []
    assert not list(folder.rglob("*.tmp"))
    resumed = {name: content for name, (content, _) in after.items()}
    (folder / "manifest.json").unlink()
    for record in folder.glob("checkpoints/*"):
        record.unlink()
    subprocess.run(argv, capture_output=True, check=True)
    assert {name: content for name, (content, _) in files_of(folder).items()} == resumed


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_step(waiting, tmp_path, sent):
    """An interrupted step exits with 130, says how to go on, and leaves no half-written file."""
    argv, gate = waiting
    process = start(argv)
    wait_for(gate.with_suffix(".pids"), process)
    process.send_signal(sent)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert output.endswith("error: interrupted; finished partitions are kept, run again to go on\n")
    assert "Traceback" not in output
    assert list(files_of(the_step(tmp_path))) == ["part-00000.parquet", "part-00001.parquet"]


LOAD = """
from pathlib import Path
import pyarrow as pa
from fondant_spec.component import LoadComponent
class Broken(LoadComponent):
    def __init__(self, *, bad: str) -> None:
        self.bad = Path(bad)
    def load(self, context):
        bad = self.bad.read_text().split()
        for number in range(8):
            if str(number) in bad:
                context.rejects.add(f"{number:012d}", "broken")
            else:
                yield pa.record_batch({"number": [number]})
"""
LOAD_SPEC = """
name: Broken
description: Loads eight numbers, but those that a file names.
image: example/broken:dev
produces: {number: {type: int64}}
args: {bad: {type: str, description: the file}}
"""


def test_a_load_runs_anew(tmp_path):
    """Where a partition ends depends on the rows before it, so none of a load is kept."""
    folder, bad = tmp_path / "broken", tmp_path / "bad"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text(LOAD)
    (folder / "fondant_component.yaml").write_text(LOAD_SPEC)
    options = {"rows_per_partition": "2", "max_reject_share": "1.0"}
    bad.write_text("0 1")
    first = run_component(folder, None, tmp_path, options=options, bad=str(bad))
    assert first.table["number"].to_pylist() == [2, 3, 4, 5, 6, 7]
    bad.write_text("")
    again = run_component(
        folder, None, tmp_path, options={**options, "retry": '["all"]'}, bad=str(bad)
    )
    assert again.table["number"].to_pylist() == list(range(8))
    assert again.manifest.rejects == {}


def test_other_cuts_do_not_mix(enter, tmp_path):
    """Partitions of another size are another result, so no row is lost between old and new."""
    for size in ("4", "6"):
        with pytest.raises(RuntimeError):
            enter(
                "numbers",
                rows=12,
                fail_at=9,
                batch_rows=3,
                words=["--rows_per_partition", size],
            )
    found = tmp_path.glob("pipeline/numbers/*/checkpoints/part-00000.json")
    assert sorted(json.loads(file.read_text())["rows_in"] for file in found) == [4, 6]


def test_a_lost_file_is_made_again(enter, tmp_path):
    """A committed step that lost a file is no hit; that partition alone is computed again."""
    source = dataset(tmp_path, 2, number=list(range(6)))
    made = enter("double", source)
    before = files_of(made.folder)
    (Path(made.data_location) / "part-00001.parquet").unlink()
    again = enter("double", source)
    after = files_of(made.folder)
    assert {name: value[0] for name, value in after.items()} == {
        name: value[0] for name, value in before.items()
    }
    assert [name for name in after if after[name] != before[name]] == ["part-00001.parquet"]
    assert validate(again) == []


def test_input_of_other_content_is_no_hit(enter, tmp_path):
    """An input that was made anew with other content, under the same key, counts as another."""
    source = dataset(tmp_path, 2, number=[1, 2, 3, 4, 5])
    first = enter("double", source)
    changed = dataset(tmp_path, 2, number=[1, 2, 30])
    assert changed.cache_key == source.cache_key
    second = enter("double", changed)
    assert second.location == first.location
    assert [row["double"] for row in rows(second)] == [2, 4, 60]
    assert list(files_of(second.folder)) == ["part-00000.parquet", "part-00001.parquet"]


def test_an_old_manifest_does_not_cover_new_files(waiting, tmp_path):
    """While a step is made anew, no manifest says that it is done."""
    argv, gate = waiting
    gate.rename(tmp_path / "away")
    subprocess.run(argv, capture_output=True, check=True)
    gate.with_suffix(".pids").unlink()
    dataset(tmp_path, 2, number=[4, 4, 4, 4])
    gate.touch()
    process = start(argv)
    wait_for(gate.with_suffix(".pids"), process)
    assert not (the_step(tmp_path) / "manifest.json").exists()
    process.kill()
    process.communicate()


def test_without_cache_all_is_computed(enter, tmp_path):
    """A step that is told not to use the cache computes everything, each time."""
    source = dataset(tmp_path, 2, number=[1, 2, 3])
    made = enter("double", source)
    before = files_of(made.folder)
    again = enter("double", source, words=["--cache", "false"])
    after = files_of(again.folder)
    assert [value[0] for value in after.values()] == [value[0] for value in before.values()]
    assert all(after[name][1] != before[name][1] for name in after)


@pytest.mark.parametrize("cache", ["true", "false"])
@pytest.mark.parametrize("name", ["double", "first_of_each", "one_of_each"])
def test_slices_then_a_commit(enter, tmp_path, name, cache):
    """Slices side by side and one commit give the bytes of a whole run."""
    whole = enter(name, dataset(tmp_path / "a", 2, number=list(range(9))), base=tmp_path / "a")
    source = dataset(tmp_path / "b", 2, number=list(range(9)))
    words = ["--cache", cache, "--run_id", "run-7"]
    stale = enter(name, source, base=tmp_path / "b")
    for n in range(3):
        sliced = ["--slice", f"{n}/3", *words]
        made = enter(name, source, base=tmp_path / "b", words=sliced)
        assert made == (stale if cache == "true" else None)
    folder = Path(stale.folder)
    before = files_of(folder) if name == "double" else {}
    made = enter(name, source, base=tmp_path / "b", words=words)
    assert [p.sha256 for p in made.partitions] == [p.sha256 for p in whole.partitions]
    assert before.items() <= files_of(folder).items()
    assert made.rejects == whole.rejects


def test_slices_of_the_first_run(enter, tmp_path):
    """Each slice computes its own partitions only, and nothing is committed before the end."""
    source = dataset(tmp_path, 1, number=list(range(5)))
    assert enter("double", source, words=["--slice", "1/2"]) is None
    folder = the_step(tmp_path, "double")
    assert list(files_of(folder)) == ["part-00001.parquet", "part-00003.parquet"]
    assert enter("double", source, words=["--slice", "0/2"]) is None
    before = files_of(folder)
    assert files_of(enter("double", source).folder) == before


@pytest.mark.parametrize("moves_at", [None, 1, 2])
def test_slices_whose_key_moved(enter, tmp_path, moves_at):
    """A commit refuses what slices made of another content of what their arguments name."""
    source, lexicon = dataset(tmp_path, 1, number=list(range(4))), tmp_path / "words.txt"
    lexicon.write_text("before")
    reports = [tmp_path / f"slice-{n}" for n in range(2)]
    for n, report in enumerate(reports):
        if n == moves_at:
            lexicon.write_text("after")
        sliced = ["--slice", f"{n}/2", "--output_manifest_path", str(report)]
        enter("double", source, words=sliced, lexicon=str(lexicon))
    if moves_at == 2:
        lexicon.write_text("after")
    folders = [report.read_text() for report in reports]
    assert len(set(folders)) == (2 if moves_at == 1 else 1)
    words = ["--slice_folders", json.dumps(folders)]
    if moves_at is None:
        made = enter("double", source, words=words, lexicon=str(lexicon))
        assert (made.rows, made.folder) == (4, folders[0])
        assert enter("double", source, words=words, lexicon=str(lexicon)) == made  # done already
        return
    with pytest.raises(InvalidDatasetError, match=f"a slice has worked in {folders[0]}, and what "):
        enter("double", source, words=words, lexicon=str(lexicon))
    assert not list(tmp_path.glob("pipeline/double/*/manifest.json"))


def test_a_load_is_not_sliced(enter, tmp_path):
    """What runs as one stream does so once, when it is committed."""
    assert enter("numbers", words=["--slice", "0/2"]) is None
    assert not list(tmp_path.glob("pipeline/numbers/*/data"))
    assert enter("numbers").rows == 10


def test_a_mended_cause_is_tried_again(enter, tmp_path):
    """After too many rejects, the partitions to blame are computed again, the others kept."""
    source = dataset(tmp_path, 2, number=[0, 2, 1, 3, 5, 7])
    with pytest.raises(RejectThresholdError):
        enter("double", source, reject_odd=True)
    folder = the_step(tmp_path, "double")
    assert [path.name for path in folder.glob("checkpoints/*")] == ["part-00000.json"]


def test_a_model_that_moved(enter, tmp_path):
    """Partitions that another model made do not go under the name of the present one."""
    source = dataset(tmp_path, 2, number=list(range(8)))
    model, log, broken = tmp_path / "model", tmp_path / "log", tmp_path / "broken"
    arguments = {"model": str(model), "log": str(log), "broken": str(broken)}
    model.write_text("A")
    broken.write_text("4")
    with pytest.raises(RuntimeError, match="broken at 4"):
        enter("stamp", source, **arguments)
    model.write_text("B")
    broken.write_text("")
    log.unlink()
    made = enter("stamp", source, **arguments)
    assert log.read_text().split()[1::2] == ["4", "6", "down", "0", "2", "down"]
    assert made.fields["stamped"].metadata == {"model": "B"}
    assert [row["stamped"] for row in rows(made)] == list(range(8))


def test_slices_of_two_models(enter, tmp_path):
    """Where slices were made by different models, the commit has the present one make all."""
    source = dataset(tmp_path, 2, number=list(range(6)))
    model = tmp_path / "model"
    for n, name in enumerate("AAB"):
        model.write_text(name)
        enter("stamp", source, words=["--slice", f"{n}/3"], model=str(model))
    made = enter("stamp", source, model=str(model))
    assert made.fields["stamped"].metadata == {"model": "B"}
    checkpoints = Path(made.folder, "checkpoints").glob("*.json")
    assert {str(json.loads(one.read_text())["metadata"]) for one in checkpoints} == {
        "{'stamped': {'model': 'B'}}"
    }


def test_kept_partitions_count_first(enter, tmp_path, monkeypatch):
    """Progress begins with the rows that are kept, so that the time left is that of the others."""
    source = dataset(tmp_path, 4, number=list(range(6)))
    made = enter("double", source)
    Path(made.location).unlink()
    Path(made.folder, "checkpoints", "part-00000.json").unlink()
    counted = []
    advance = Progress.advance

    def record(self, rows, rejects=0, before=0):
        counted.append((rows, before))
        advance(self, rows, rejects, before)

    monkeypatch.setattr(Progress, "advance", record)
    enter("double", source)
    assert counted[0] == (2, 2)
    assert [sum(column) for column in zip(*counted, strict=True)] == [6, 2]


def test_rows_that_are_tried_again_count_apart(enter, tmp_path, monkeypatch):
    """A retry counts all rows of a partition, and towards the rate those that it tries."""
    source = dataset(tmp_path, 6, number=list(range(6)))
    enter("double", source, words=["--workers", "1"], reject_odd=True)
    counted = []

    def record(_self, rows, rejects=0, before=0):
        counted.append((rows, rejects, before))

    monkeypatch.setattr(Progress, "advance", record)
    enter("double", source, words=["--workers", "1", "--retry", '["all"]'], reject_odd=True)
    assert [sum(column) for column in zip(*counted, strict=True)] == [6, 3, 3]
