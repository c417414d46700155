"""Deleting results that no run refers to."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fondant_spec.dataset import run_references as references
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.lease import held
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import InvalidArgumentError, InvalidDatasetError
from fondant_spec.pipeline.garbage_collection import collect
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import RunLog
from tests.small import COMPONENTS, run_here


def plan(base: Path, run_id: str, factor: int) -> Plan:
    """Return the plan of two steps."""
    pipeline = Pipeline("small", base)
    numbers = pipeline.add(COMPONENTS / "numbers")
    options = {"arguments": {"factor": factor}, "workers": 1}
    pipeline.add(COMPONENTS / "double", after=numbers, **options)
    return pipeline.plan(run_id)


def test_what_runs_refer_to_is_kept(tmp_path):
    """Results of any run stay; of old runs, they go when the runs are forgotten."""
    numbers, old = (made.folder for made in run_here(plan(tmp_path, "run-1", 2)))
    _, new = run_here(plan(tmp_path, "run-2", 3))
    stray = tmp_path / "small" / "double" / "0123456789abcdef"
    (stray / "checkpoints").mkdir(parents=True)
    assert collect(str(tmp_path), "small") == [str(stray)]
    assert stray.exists()
    assert collect(str(tmp_path), "small", delete=True) == [str(stray)]
    assert not stray.exists()
    expected = [old, str(tmp_path / "small" / "runs" / "run-1")]
    assert collect(str(tmp_path), "small", keep_runs=1, delete=True) == expected
    assert not any(Path(folder).exists() for folder in expected)
    assert Path(numbers).exists()
    assert list(plan(tmp_path, "run-3", 3).committed()) == ["numbers", "double"]
    assert validate(new) == []
    assert collect(str(tmp_path), "small") == []


def test_a_run_of_a_part_drives_out_no_whole_one(tmp_path):
    """After a run with `--until`, what the steps after it made is still that of the newest run."""
    run_here(plan(tmp_path, "run-1", 2))
    _, doubled = run_here(plan(tmp_path, "run-2", 3))
    pipeline = Pipeline("small", tmp_path)
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "double", after=numbers, arguments={"factor": 3}, workers=1)
    pipeline.end_with("numbers")
    run_here(pipeline.plan("run-3"))
    collect(str(tmp_path), "small", keep_runs=1, delete=True)
    assert validate(doubled) == []
    assert sorted(p.name for p in (tmp_path / "small" / "runs").iterdir()) == ["run-2", "run-3"]


def test_what_a_kept_result_is_made_of_is_kept(tmp_path, enter):
    """A component that is run by hand refers to the steps before it through its manifest alone."""
    _, doubled = run_here(plan(tmp_path, "run-1", 2))
    words = ["--pipeline_name", "small", "--consumes", '{"number": "double"}']
    words += ["--produces", '{"double": "fourfold"}', "--step_id", "by_hand"]
    by_hand = enter("double", doubled, base=tmp_path, words=words)
    run_here(plan(tmp_path, "run-2", 3))
    collect(str(tmp_path), "small", keep_runs=1, delete=True)
    assert validate(by_hand) == []


def test_what_is_being_written_stays(tmp_path):
    """A folder in which somebody writes is not garbage, whether a run refers to it or not."""
    run_here(plan(tmp_path, "run-1", 2))
    writing = tmp_path / "small" / "double" / "0123456789abcdef"
    with held(StepFolder(str(writing)), "elsewhere"):
        assert collect(str(tmp_path), "small", delete=True) == []
    assert collect(str(tmp_path), "small", delete=True) == [str(writing)]
    assert not writing.exists()


def test_a_run_that_begins_meanwhile(tmp_path, monkeypatch):
    """What it takes as it lies there, without a step of its own, is not removed under it."""
    _, old = run_here(plan(tmp_path, "run-1", 2))
    run_here(plan(tmp_path, "run-2", 3))
    noted = references.read

    def begun_now(root: PipelineFolder) -> dict[str, set[tuple[str, str]]]:
        RunLog(plan(tmp_path, "run-3", 2))
        return noted(root)

    monkeypatch.setattr(references, "read", begun_now)
    collect(str(tmp_path), "small", keep_runs=1, delete=True)
    assert Path(old.location).exists()


def test_runs_that_go_on_meanwhile(tmp_path):
    """Collecting all but the newest run, over and over, costs no run a row."""
    run_here(plan(tmp_path, "run-0", 3))

    def run(number: int) -> None:
        for made in run_here(plan(tmp_path, f"run-{number}", 2 + number % 2)):
            assert validate(made) == []

    with ThreadPoolExecutor() as threads:
        for number in range(1, 6):
            running = threads.submit(run, number)
            while not running.done():
                collect(str(tmp_path), "small", keep_runs=1, delete=True)
            running.result()


def test_a_pipeline_that_is_not_there(tmp_path):
    """A mistyped pipeline or base path is told with the pipelines that there are."""
    with pytest.raises(InvalidArgumentError) as caught:
        collect(str(tmp_path), "small")
    assert str(caught.value) == (
        f"{tmp_path} holds no runs of a pipeline 'small'. Pipelines: none."
    )
    run_here(plan(tmp_path, "run-1", 2))
    (tmp_path / "other").mkdir()
    for name in ("smal", "other", "../" + tmp_path.name + "/small", ""):
        with pytest.raises(InvalidArgumentError, match=r" Pipelines: small\.$"):
            collect(str(tmp_path), name, delete=True)
    assert (tmp_path / "small" / "numbers").exists()


@pytest.mark.parametrize(
    "name",
    [
        "taxes/2024/letter.txt",
        "double/keep/manifest.json",
        "double/0123456789abcdef/holiday.jpg",
        "double/0123456789ABCDEF/manifest.json",
        "double/0123456789abcdef0/checkpoints/x",
        "double/0123456789abcdef",
    ],
)
def test_what_is_no_result_stays(tmp_path, name):
    """Only folders that steps made are removed: named by a key, with a manifest or checkpoints."""
    run_here(plan(tmp_path, "run-1", 2))
    file = tmp_path / "small" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    assert collect(str(tmp_path), "small", delete=True) == []
    assert file.read_text() == "mine"


@pytest.mark.parametrize("run_id", ["../../mine", "/mine", ".."])
def test_a_record_names_no_folder(tmp_path, run_id):
    """A run is forgotten by the name of its folder, whatever its record says."""
    run_here(plan(tmp_path / "base", "run-1", 2))
    mine = tmp_path / "mine"
    mine.mkdir()
    record = tmp_path / "base" / "small" / "runs" / "run-1" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"run_id": run_id}))
    assert collect(str(tmp_path / "base"), "small", delete=True) == []
    gone = collect(str(tmp_path / "base"), "small", keep_runs=0, delete=True)
    assert str(record.parent) in gone
    assert all(Path(folder).is_relative_to(tmp_path / "base" / "small") for folder in gone)
    assert mine.exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"planned": 1, "started": "x"}'])
def test_a_record_that_cannot_be_read(tmp_path, text):
    """Where it is not known what a run refers to, nothing is removed."""
    run_here(plan(tmp_path, "run-1", 2))
    record = tmp_path / "small" / "runs" / "run-1" / "run.json"
    record.write_text(text)
    with pytest.raises(InvalidDatasetError, match=r"run\.json: not the record of a run"):
        collect(str(tmp_path), "small", delete=True)
    assert (tmp_path / "small" / "numbers").exists()


def test_the_newest_runs_are_told_by_time(tmp_path):
    """Runs are forgotten by age, whatever their names, also two of one second."""
    _, first = run_here(plan(tmp_path, "z", 2))
    record = tmp_path / "small" / "runs" / "z" / "run.json"
    run_here(plan(tmp_path, "a", 3))
    expected = [first.folder, str(record.parent)]
    assert collect(str(tmp_path), "small", keep_runs=1) == expected


def test_no_fewer_than_no_runs(tmp_path):
    """A negative number of runs is refused, since it would remove everything."""
    run_here(plan(tmp_path, "run-1", 2))
    with pytest.raises(InvalidArgumentError) as caught:
        collect(str(tmp_path), "small", keep_runs=-1, delete=True)
    assert str(caught.value) == "keep_runs must be 0 or more, not -1."
    assert (tmp_path / "small" / "numbers").exists()


def test_runs_from_elsewhere_are_known(enter, tmp_path):
    """A run without a record here, such as one on Kubeflow, keeps what its steps noted."""
    made = enter("numbers", words=["--pipeline_name", "small", "--run_id", "from-elsewhere"])
    assert collect(str(tmp_path), "small", keep_runs=0, delete=True) == []
    assert validate(made) == []
