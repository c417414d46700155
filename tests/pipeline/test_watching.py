"""How far a run is, what differs between two, and what a greater one would cost."""

import json
import shutil
from pathlib import Path

import pytest

from fondant_spec.cli import main
from fondant_spec.dataset.layout import StepFolder
from fondant_spec.dataset.lease import held
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import StepFailedError
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.runners import LocalRunner
from tests.small import COMPONENTS, run_here


def run(base: Path, run_id: str, **arguments: object) -> list[Manifest]:
    """Run two steps over ten rows in three partitions."""
    pipeline = Pipeline("small", base)
    numbers = pipeline.add(COMPONENTS / "numbers", rows_per_partition=4)
    pipeline.add(
        COMPONENTS / "double", after=numbers, arguments=arguments, workers=1, max_reject_share=1.0
    )
    return run_here(pipeline.plan(run_id))


@pytest.fixture
def ask(tmp_path, capsys):
    """Return a function that gives the command line's answer about the runs below a folder."""

    def answer(*words: str) -> str:
        code = main([*words, "--base-path", str(tmp_path)])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return answer


def test_a_run_that_ended(tmp_path, ask):
    """Each step with its rows and rejects, in words and as JSON."""
    run(tmp_path, "run-1", reject_odd=True)
    title, _, _, numbers, double = ask("status").splitlines()
    assert title.startswith("small, run run-1: succeeded, since 2")
    assert numbers.split()[:5] == ["numbers", "done", "10", "10", "-"]
    assert double.split()[:6] == ["double", "done", "10", "5", "odd", "5"]
    told = json.loads(ask("status", "small", "--json"))
    assert (told["run"], told["state"]) == ("run-1", "succeeded")
    assert [(s["rows_in"], s["rows"], s["rejects"]) for s in told["steps"]] == [
        (10, 10, {}),
        (10, 5, {"odd": 5}),
    ]


def test_a_run_that_goes_on(tmp_path, ask):
    """What is finished is counted, of how many rows is told, and how long the rest will take."""
    _, double = run(tmp_path, "run-1")
    Path(double.location).unlink()
    (Path(double.folder) / "checkpoints" / "part-00002.json").unlink()
    assert ask("status").splitlines()[-1].split()[:4] == ["double", "begun", "8/10", "8"]
    (Path(double.folder) / "checkpoints" / "part-00000.json").write_text("{}", encoding="utf-8")
    assert ask("status").splitlines()[-1].split()[:4] == ["double", "begun", "4/10", "4"]


def test_a_step_that_failed(tmp_path, ask):
    """It is named as what ended the run, with the rows that it lost; those after it wait."""
    pipeline = Pipeline("small", tmp_path)
    numbers = pipeline.add(COMPONENTS / "numbers", rows_per_partition=4)
    double = pipeline.add(
        COMPONENTS / "double",
        after=numbers,
        arguments={"reject_odd": True},
        workers=1,
        max_reject_share=0.1,
    )
    pipeline.add(COMPONENTS / "keep_even", after=double)
    with pytest.raises(StepFailedError):
        LocalRunner().run(pipeline.plan("run-1"), say=lambda _: None)
    title, _, _, *steps = ask("status").splitlines()
    assert title.startswith("small, run run-1: failed, ")
    assert [line.split()[:6] for line in steps] == [
        ["numbers", "done", "10", "10", "-", steps[0].split()[5]],
        ["double", "failed", "-", "-", "odd", "5"],
        ["keep_even", "waiting", "-", "-", "-", "-"],
    ]


@pytest.mark.parametrize(("gone", "state"), [(False, "running"), (True, "killed")])
def test_a_step_that_has_just_begun(tmp_path, ask, gone, state):
    """It is at work before it writes anything, and was killed if the run is no more."""
    _, double = run(tmp_path, "run-1")
    shutil.rmtree(double.folder)
    record = tmp_path / "small" / "runs" / "run-1" / "run.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    content |= {"state": "running", "at": "double"}
    if gone:
        content["owner"]["born"] = "0"
    record.write_text(json.dumps(content), encoding="utf-8")
    assert ask("status").splitlines()[-1].split()[:2] == ["double", state]


def test_events(tmp_path, ask):
    """Each partition is a line: by whom, when, how long, and what came of it."""
    run(tmp_path, "run-1", reject_odd=True)
    events = [json.loads(line) for line in ask("status", "run-1", "--events").splitlines()]
    assert [(e["step"], e["partition"], e["rows_in"], e["rows"]) for e in events] == [
        ("numbers", "part-00000", 4, 4),
        ("numbers", "part-00001", 4, 4),
        ("numbers", "part-00002", 2, 2),
        ("double", "part-00000", 4, 2),
        ("double", "part-00001", 4, 2),
        ("double", "part-00002", 2, 1),
    ]
    assert all(event["seconds"] >= 0 and ":" in event["worker"] for event in events)


def test_two_runs(tmp_path, ask):
    """Settings, rows, rejects and values that differ are told; what is equal, in one line."""
    run(tmp_path, "run-1")
    run(tmp_path, "run-2", factor=3, reject_odd=True)
    assert ask("diff", "run-1", "run-2").splitlines() == [
        "from small run-1 to small run-2",
        "numbers: the same, 10 rows",
        "double: arguments.factor: 2 became 3; arguments.reject_odd: False became True",
        "  rows 10 -> 5, 5 gone (000000000001, 000000000003, 000000000005, ...)",
        "  rejects odd: 0 -> 5",
        "  double: another value in 4 of 5 rows",
    ]
    assert ask("diff", "run-2", "run-2").splitlines()[1:] == [
        "numbers: the same, 10 rows",
        "double: the same, 5 rows",
    ]


def test_a_greater_run(tmp_path, ask):
    """Rows are carried back from the end to the first step, at the rates that were measured."""
    made = run(tmp_path, "run-1", reject_odd=True)
    head, _, _, numbers, double, total, *_ = ask(
        "plan", "--rows", "1_000_000", "--workers", "4"
    ).splitlines()
    assert head == "1,000,000 rows at the end, as run run-1 of small made 5"
    assert numbers.split()[:3] == ["numbers", "2,000,000", "2,000,000"]
    assert double.split()[:3] == ["double", "2,000,000", "1,000,000"]
    size = sum(f.stat().st_size for m in made for f in Path(m.folder).rglob("*") if f.is_file())
    assert float(total.split()[-2].replace(",", "")) == pytest.approx(size * 2e5 / 1e9, abs=0.1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "run-9"], "holds no run 'run-9'"),
        (["diff", "run-1", "run-9"], "holds no run 'run-9'"),
        (["plan", "--rows", "5"], "double has no result; name a run that succeeded."),
    ],
)
def test_what_is_not_there(tmp_path, capsys, words, told):
    """One sentence, and what to do."""
    _, double = run(tmp_path, "run-1")
    Path(double.location).unlink()
    assert main([*words, "--base-path", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


def test_a_run_of_elsewhere(tmp_path, ask):
    """Of a run without a record the steps come in their order, and how they depend."""
    run(tmp_path, "run-1", reject_odd=True)
    folder = tmp_path / "small" / "runs" / "run-1"
    folder.joinpath("run.json").unlink()
    assert [line.split()[0] for line in ask("status").splitlines()[3:]] == ["numbers", "double"]
    assert ask("plan", "--rows", "50").splitlines()[0].endswith("run run-1 of small made 5")


def test_the_result_that_a_step_noted_counts(tmp_path, ask):
    """Where a step came to another key than was planned, its own is taken."""
    _, double = run(tmp_path, "run-1")
    record = tmp_path / "small" / "runs" / "run-1" / "run.json"
    text = record.read_text(encoding="utf-8")
    planned = f'"double": "{double.cache_key}"'
    assert planned in text
    record.write_text(text.replace(planned, '"double": "0123456789abcdef"'), encoding="utf-8")
    assert ask("status").splitlines()[-1].split()[:3] == ["double", "done", "10"]


def test_a_run_that_was_killed(tmp_path, ask):
    """A record that says that it goes on, of a process that is no more, is told as what it is."""
    run(tmp_path, "run-1")
    record = tmp_path / "small" / "runs" / "run-1" / "run.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    content["state"] = "running"
    record.write_text(json.dumps(content), encoding="utf-8")
    assert ask("status").startswith("small, run run-1: running, ")
    content["owner"]["born"] = "0"
    record.write_text(json.dumps(content), encoding="utf-8")
    assert ask("status").startswith("small, run run-1: killed, ")
    assert " killed " in ask("runs")


def test_a_step_that_is_at_work(tmp_path, ask):
    """It is running from the moment that it holds its lease, with the time left as far as known."""
    _, double = run(tmp_path, "run-1")
    Path(double.location).unlink()
    (Path(double.folder) / "checkpoints" / "part-00002.json").unlink()
    with held(StepFolder(double.folder), "run-2"):
        step = json.loads(ask("status", "--json"))["steps"][1]
        assert step["state"] == "running"
        assert step["seconds_left"] == pytest.approx(2 / step["rate"])
