"""Datasets by the name of their step, and the runs that made them, through the command line."""

import os
from pathlib import Path

import pytest

from fondant_spec.cli import main
from fondant_spec.pipeline import Pipeline
from fondant_spec.pipeline.run_history import RunLog, StepResult
from tests.small import COMPONENTS, run_here


def small(base: Path, run_id: str = "run-1", factor: int = 2, name: str = "small"):
    """Run a pipeline of two steps, and return what they made."""
    pipeline = Pipeline(name, base)
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "double", after=numbers, arguments={"factor": factor}, workers=1)
    return run_here(pipeline.plan(run_id))


def shown(capsys, *words: object) -> str:
    """Return what is printed by a command that must succeed."""
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_the_newest_result_of_a_step(tmp_path, capsys, monkeypatch):
    """It is the one that a run made last, or found there last."""
    monkeypatch.setenv("BASE_PATH", str(tmp_path))
    first = small(tmp_path)[1]
    os.utime(first.location, (100, 100))
    os.utime(tmp_path / "small" / "runs" / "run-1" / "run.json", (100, 100))
    second = small(tmp_path, "run-2", factor=3)[1]
    os.utime(second.location, (200, 200))
    os.utime(tmp_path / "small" / "runs" / "run-2" / "run.json", (200, 200))
    for name in ("double", "small/double", tmp_path / "small" / "double"):
        assert f"manifest  {second.location}" in shown(capsys, "show", name)
    plan = Pipeline("small", tmp_path)
    plan.add(COMPONENTS / "double", after=plan.add(COMPONENTS / "numbers"))
    log = RunLog(plan.plan("run-3"))
    log.add(StepResult("double", first, 0.0, cached=True))
    assert f"manifest  {first.location}" in shown(capsys, "show", "double")
    assert shown(capsys, "validate", "double").startswith(f"{first.location}: 10 rows, ")


@pytest.mark.parametrize("there", [True, False])
def test_what_is_no_dataset(tmp_path, capsys, there):
    """A folder without one, and a step that is not there, are told in one sentence."""
    small(tmp_path)
    words = ["show", str(tmp_path / "small") if there else "duble", "--base-path", str(tmp_path)]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/small: holds no dataset; name a step, or the folder of its result.\n"
        if there
        else f"error: {tmp_path} (BASE_PATH, --base-path) has no result of a step 'duble'; did you "
        "mean 'double'? Steps: double, numbers.\n"
    )


def test_a_missing_manifest(tmp_path, capsys):
    """A manifest that is named and not there is told once."""
    assert main(["show", str(tmp_path / "manifest.json")]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/manifest.json: there is no such manifest; name a step, or the folder "
        "of its result.\n"
    )


def test_runs(tmp_path, capsys):
    """Each run is told with its state, its steps and its rows; those of other places, too."""
    small(tmp_path)
    plan = Pipeline("small", tmp_path)
    plan.add(COMPONENTS / "numbers")
    log = RunLog(plan.plan("run-2"))
    log.finish("failed")
    (tmp_path / "small" / "runs" / "run-0").mkdir()
    (tmp_path / "small" / "runs" / "run-0" / "double.key").write_text("0123", encoding="utf-8")
    small(tmp_path, name="other")
    other, told = shown(capsys, "runs", "--base-path", tmp_path).split("\n\n")
    title, head, _, *rows = told.splitlines()
    assert (title, head.split()) == ("small", ["run", "when", "(UTC)", "state", "steps", "rows"])
    assert [row.split()[0] for row in rows] == ["run-1", "run-2", "run-0"]
    assert rows[0].split()[3:] == ["succeeded", "2", "of", "2", "10"]
    assert rows[1].split()[3:] == ["failed", "0", "of", "1", "-"]
    assert rows[2].split()[3:] == ["elsewhere", "1", "-"]
    assert other.startswith("other\n")
    assert shown(capsys, "runs", "other", "--base-path", tmp_path) == f"{other}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "holds no runs.\n"),
        (["small"], "holds no runs of a pipeline 'small'. Pipelines: none.\n"),
    ],
)
def test_no_runs(tmp_path, capsys, words, message):
    """Where there are none, it is said."""
    assert main(["runs", *words, "--base-path", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(message)
