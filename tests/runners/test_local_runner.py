"""The local runner: one process a step, its log, its exit code, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fondant_spec.cpu import PATIENT
from fondant_spec.errors import InvalidPipelineError, StepFailedError, StorageError
from fondant_spec.pipeline import Pipeline
from fondant_spec.pipeline.run_history import read_runs, table
from fondant_spec.runners import LocalRunner
from tests.small import COMPONENTS, ended, is_alive, start, wait_for

PIPELINE = Path(__file__).parents[1] / "pipelines" / "small.py"


def small(base: Path, factor: int = 2) -> Pipeline:
    """Return a pipeline of three steps."""
    pipeline = Pipeline("small", base)
    numbers = pipeline.add(COMPONENTS / "numbers")
    double = pipeline.add(
        COMPONENTS / "double",
        after=numbers,
        arguments={"factor": factor, "reject_odd": True},
        workers=1,
    )
    pipeline.add(COMPONENTS / "write_lines", after=double, consumes={"n": "double"})
    return pipeline


def test_a_run_and_what_follows(tmp_path):
    """A second run is all hits; another argument runs its step and those after it, only."""
    said: list[str] = []
    first = LocalRunner().run(small(tmp_path).plan("run-1"), said.append)
    assert [(r.step_id, r.manifest.rows, r.cached) for r in first] == [
        ("numbers", 10, False),
        ("double", 5, False),
        ("write_lines", 5, False),
    ]
    assert said[0] == "[1/3] numbers starts"
    assert f"[numbers] INFO numbers: 10 rows at {first[0].manifest.folder}" in said
    ended = next(line for line in said if line.startswith("[2/3] double: "))
    assert re.fullmatch(r"\[2/3\] double: 5 rows in \d+ s, 5 failed \(odd 5\)", ended)
    assert not any("fondant-progress" in line for line in said)
    said.clear()
    second = LocalRunner().run(small(tmp_path).plan("run-2"), said.append)
    assert [r.cached for r in second] == [True, True, True]
    assert said == [
        "[1/3] numbers already done: 10 rows",
        "[2/3] double already done: 5 rows",
        "[3/3] write_lines already done: 5 rows",
    ]
    third = LocalRunner().run(small(tmp_path, factor=5).plan("run-3"), said.append)
    assert [r.cached for r in third] == [True, False, False]
    lines = Path(third[2].manifest.artifacts[0]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["n"] for line in lines] == [0, 10, 20, 30, 40]
    runs = read_runs(str(tmp_path), "small")
    assert [(run["run_id"], run["state"]) for run in runs] == [
        (f"run-{n}", "succeeded") for n in (1, 2, 3)
    ]
    assert [step["cached"] for step in runs[2]["steps"]] == [True, False, False]
    log = (tmp_path / "small" / "runs" / "run-1" / "numbers.log").read_text(encoding="utf-8")
    assert "INFO numbers: 10 rows at " in log
    text = table(third).splitlines()
    assert text[0].split() == ["step", "rows", "in", "rows", "out", "rejects", "seconds"]
    assert text[2].split()[:3] + text[2].split()[-1:] == ["numbers", "10", "10", "cached"]
    assert text[3].split()[:5] == ["double", "10", "5", "odd", "5"]


def test_a_step_that_fails(tmp_path):
    """Why is said once, as it comes; the error has the exit code, and where the log is kept."""
    pipeline = Pipeline("small", tmp_path)
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "misbehave", after=numbers, arguments={"how": "lose"}, workers=1)
    said: list[str] = []
    with pytest.raises(StepFailedError) as caught:
        LocalRunner().run(pipeline.plan("run-1"), said.append)
    log = tmp_path / "small" / "runs" / "run-1" / "misbehave.log"
    told = "error: misbehave: the component lost row '000000000000'; return or reject each row."
    assert str(caught.value) == (
        f"step 'misbehave' failed with exit code 1. Its log is above, and kept as {log}"
    )
    assert said[-1] == f"[misbehave] {told}"
    assert log.read_text() == f"{told}\n"
    (run,) = read_runs(str(tmp_path), "small")
    assert (run["state"], [step["step_id"] for step in run["steps"]]) == ("failed", ["numbers"])


def test_a_component_that_does_nothing(tmp_path):
    """A main.py that forgets to execute its component is told so."""
    pipeline = Pipeline("small", tmp_path)
    pipeline.add(_component(tmp_path, "print('hello')"))
    with pytest.raises(StepFailedError) as caught:
        LocalRunner().run(pipeline.plan(), lambda _: None)
    assert str(caught.value).startswith("step 'own' left no manifest; does main.py execute()? Its ")


def test_a_component_without_code(tmp_path):
    """A component that is only an image cannot run here, and nothing before it does."""
    spec = tmp_path / "own.yaml"
    spec.write_text("name: Own\ndescription: x\nimage: x\n", encoding="utf-8")
    pipeline = Pipeline("small", tmp_path / "base")
    pipeline.add(COMPONENTS / "numbers")
    pipeline.add(spec)
    with pytest.raises(InvalidPipelineError) as caught:
        LocalRunner().run(pipeline.plan(), lambda _: None)
    assert str(caught.value) == (
        f"own: {spec} has no src/main.py beside it, so it can only run in a container; use "
        "another runner."
    )
    assert not (tmp_path / "base").exists()


def test_an_error_that_is_not_a_steps(tmp_path):
    """However a run ends, its record says so."""

    def say(line: str) -> None:
        if "double starts" in line:
            raise OSError(line)

    with pytest.raises(OSError, match="starts"):
        LocalRunner().run(small(tmp_path).plan(), say)
    (run,) = read_runs(str(tmp_path), "small")
    assert (run["state"], [step["step_id"] for step in run["steps"]]) == ("failed", ["numbers"])


def test_files_of_its_own(tmp_path):
    """The folder that a runner is given is made and removed, and never one that is there."""
    own = tmp_path / "own"
    commands = LocalRunner(str(own)).compile(small(tmp_path / "base").plan("run-1"))
    assert [c.step_id for c in commands] == ["numbers", "double", "write_lines"]
    assert commands[0].argv[2:13] == (
        str(COMPONENTS / "numbers" / "src" / "main.py"),
        *("--base_path", f"{tmp_path}/base", "--pipeline_name", "small", "--step_id", "numbers"),
        *("--run_id", "run-1", "--output_manifest_path", f"{own}/numbers/output_manifest_path"),
    )
    assert not own.exists()
    own.mkdir()
    with pytest.raises(FileExistsError):
        LocalRunner(str(own)).run(small(tmp_path / "base").plan(), lambda _: None)
    assert own.exists()


def test_a_base_path_that_cannot_be_written(tmp_path):
    """Nothing starts where nothing can be written."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"^BASE_PATH .*/file is not writable \("):
        LocalRunner().run(small(tmp_path / "file").plan(), lambda _: None)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_stops_everything(tmp_path, sent):
    """Ctrl-C ends the step, and what the step started, and what is finished is kept."""
    gate = tmp_path / "gate"
    gate.touch()
    settings = ["waits.gate=" + str(gate), "waits.child=true"]
    argv = [sys.executable, str(PIPELINE), "--base-path", str(tmp_path)]
    argv += [word for setting in settings for word in ("--set", setting)]
    process = start(argv)
    pids = [int(pid) for pid in wait_for(gate.with_suffix(".pids"), process).split()]
    assert len(pids) == 2
    assert all(map(is_alive, pids))
    os.kill(process.pid, sent)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert output.endswith("error: interrupted; what is finished is kept, run again to go on\n")
    assert not any(map(is_alive, pids))
    (run,) = read_runs(str(tmp_path), "small")
    assert run["state"] == "interrupted"
    gate.unlink()
    again = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "[2/3] double already done: 10 rows" in again


def test_a_runner_that_is_killed(tmp_path):
    """A runner that ends by SIGKILL takes its step with it, and what the step started."""
    gate = tmp_path / "gate"
    gate.touch()
    argv = [sys.executable, str(PIPELINE), "--base-path", str(tmp_path)]
    argv += ["--set", f"waits.gate={gate}", "--set", "waits.child=true"]
    process = start(argv)
    pids = [int(pid) for pid in wait_for(gate.with_suffix(".pids"), process).split()]
    process.kill()
    process.communicate(timeout=30)
    assert ended(pids)


def test_a_step_that_is_killed(tmp_path):
    """A step that ends by SIGKILL is told, though what it started holds its output open."""
    gate = tmp_path / "gate"
    gate.touch()
    pipeline = Pipeline("small", tmp_path)
    numbers = pipeline.add(COMPONENTS / "numbers")
    waits = {"gate": str(gate), "child": True}
    pipeline.add(COMPONENTS / "waits", after=numbers, arguments=waits, workers=1)
    with ThreadPoolExecutor() as threads:
        run = threads.submit(LocalRunner().run, pipeline.plan("run-1"), lambda _: None)
        pids = [int(pid) for pid in wait_for(gate.with_suffix(".pids")).split()]
        os.kill(pids[0], signal.SIGKILL)
        error = run.exception(timeout=30)
    assert str(error).startswith(
        "step 'waits' was killed, most likely because memory ran out: have fewer workers "
        "(`--set waits.@workers=1`) or smaller batches. Its log is above"
    )
    assert ended(pids)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise SystemExit(137)", "was killed, most likely because memory ran out: have fewer wo"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV. Its log is above"),
        ("raise SystemExit(255)", "failed with exit code 255. Its log is above"),
    ],
)
def test_how_a_step_failed(tmp_path, program, told):
    """A signal is told as such, also as the client of a container engine passes it on."""
    pipeline = Pipeline("small", tmp_path)
    pipeline.add(_component(tmp_path, program))
    with pytest.raises(StepFailedError) as caught:
        LocalRunner().run(pipeline.plan("run-1"), lambda _: None)
    assert str(caught.value).startswith(f"step 'own' {told}")
    assert ("`--set own.@memory=...`" in str(caught.value)) == ("137" in program)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [({}, "1000 PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None ACTIVE")],
)
def test_threads_that_wait_leave_their_core(tmp_path, monkeypatch, chosen, told):
    """A step is started with OpenMP's variables, which are read once, unless somebody set one."""
    for name in PATIENT:
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    program = f"import os; raise SystemExit(' '.join(str(os.environ.get(n)) for n in {[*PATIENT]}))"
    pipeline = Pipeline("small", tmp_path)
    pipeline.add(_component(tmp_path, program))
    said: list[str] = []
    with pytest.raises(StepFailedError):
        LocalRunner().run(pipeline.plan("run-1"), said.append)
    assert f"[own] {told}" in said


def _component(folder: Path, program: str) -> Path:
    own = folder / "own"
    (own / "src").mkdir(parents=True)
    spec = "name: Own\ndescription: x\nimage: x\n"
    (own / "fondant_component.yaml").write_text(spec, encoding="utf-8")
    (own / "src" / "main.py").write_text(program, encoding="utf-8")
    return own
