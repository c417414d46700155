"""The command line of a pipeline file."""

import argparse
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest
import yaml

from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch
from tests.small import COMPONENTS


def start(base, *words: str, **options: object) -> int:
    """Launch a pipeline of two steps, and return the exit code."""

    def build(_: argparse.Namespace) -> Pipeline:
        pipeline = Pipeline("small", base)
        numbers = pipeline.add(COMPONENTS / "numbers", arguments={"rows": 3})
        pipeline.add(COMPONENTS / "double", after=numbers, workers=1)
        return pipeline

    return launch(build, argparse.ArgumentParser(), words, **options)


def test_a_dry_run(tmp_path, capsys):
    """The plan is told - steps, arguments, hits to come - and nothing runs."""
    assert start(tmp_path, "--dry-run", "--set", "double.factor=4") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"pipeline small at {tmp_path}",
        "",
        "numbers: runs, because it has no earlier result here",
        f"  component  {COMPONENTS}/numbers/fondant_component.yaml",
        "  rows = 3",
        "  defaults   4 more arguments; --all shows them",
        "  fields     number, word",
        "",
        "double: runs, because it has no earlier result here",
        "  after      numbers",
        f"  component  {COMPONENTS}/double/fondant_component.yaml",
        "  factor = 4",
        "  defaults   2 more arguments; --all shows them",
        "  fields     number, word, double",
    ]
    assert list(tmp_path.iterdir()) == []
    assert start(tmp_path, "--dry-run", "--all") == 0
    assert "  skip = []\n  fail_at = None\n  fields " in capsys.readouterr().out


def test_a_run(tmp_path, capsys):
    """The steps run within what must hold meanwhile, and a table is told at the end."""
    held = []

    @contextmanager
    def during():
        held.append("begins")
        yield
        held.append("ends")

    assert start(tmp_path, during=during) == 0
    *_, numbers, double = capsys.readouterr().out.splitlines()
    assert numbers.split()[:4] == ["numbers", "3", "3", "-"]
    assert double.split()[:4] == ["double", "3", "3", "-"]
    assert held == ["begins", "ends"]
    assert start(tmp_path, during=during) == 0
    assert "already done" in capsys.readouterr().out
    assert held == ["begins", "ends"]  # nothing had to run


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "double.factor=x"], 2, "double: argument 'factor' must be of type int in JSON"),
        (
            ["--set", "double.fator=1"],
            2,
            "double: unknown argument 'fator'; did you mean 'factor'?",
        ),
        (["--set", "duoble.factor=1"], 2, "there is no step 'duoble'; did you mean 'double'?"),
        (
            ["--set", "factor=1"],
            2,
            "--set factor=1: expected STEP.ARGUMENT=VALUE, such as caption_images.num_beams=3.",
        ),
        (["--set", "double.factor"], 2, "--set double.factor: expected STEP.ARGUMENT=VALUE, "),
    ],
)
def test_wrong_settings(tmp_path, capsys, words, code, message):
    """A setting that fits nothing ends with its code, and nothing runs."""
    assert start(tmp_path, *words) == code
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_pipeline_file(capsys):
    """An argument that is wrong in the file is no fault of the command line: it ends with 1."""

    def build(_: argparse.Namespace) -> Pipeline:
        pipeline = Pipeline("small", "base")
        pipeline.add(COMPONENTS / "numbers", arguments={"row": 3})
        return pipeline

    assert launch(build, argparse.ArgumentParser(), []) == 1
    assert capsys.readouterr().err.startswith("error: numbers: unknown argument 'row'; did you ")


def test_a_failed_run(tmp_path, capsys):
    """An error that the user can fix ends with 1, without a traceback."""
    assert start(tmp_path, "--set", "numbers.fail_at=1") == 1
    out, error = capsys.readouterr()
    assert re.fullmatch(
        "error: step 'numbers' failed with exit code 1. Its log is above, and kept as .*\n", error
    )
    assert out.count("RuntimeError: the source broke at 1\n") == 1


def test_where_the_artifacts_are(tmp_path, capsys):
    """Last of all comes where the files for others are, also when they were there already."""

    def build(_: argparse.Namespace) -> Pipeline:
        pipeline = Pipeline("small", tmp_path)
        pipeline.add(COMPONENTS / "write_lines", after=pipeline.add(COMPONENTS / "numbers"))
        return pipeline

    for _ in range(2):
        assert launch(build, argparse.ArgumentParser(), []) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        (file,) = tmp_path.glob("small/write_lines/*/output/lines.jsonl")
        assert last == f"write_lines wrote {file}"


def test_a_defect(capsys):
    """What nobody thought of is one sentence, and with --debug its traceback."""

    def build(_: argparse.Namespace) -> Pipeline:
        return Pipeline("small", "base").append(COMPONENTS / "numbers")

    assert launch(build, argparse.ArgumentParser(), []) == 1
    assert capsys.readouterr().err.startswith(
        "error: AttributeError: 'Pipeline' object has no attribute 'append'. This is a defect; its "
        "traceback is in "
    )
    assert launch(build, argparse.ArgumentParser(), ["--debug"]) == 1
    assert capsys.readouterr().err.startswith("Traceback (most recent call last):\n")


def test_an_empty_base_path(capsys):
    """An empty base path is refused, wherever it comes from."""
    assert start("") == 1
    assert capsys.readouterr().err.startswith("error: the base path (BASE_PATH, --base-path) is ")


@pytest.mark.parametrize("runner", ["local", "docker"])
def test_runners_without_a_package(tmp_path, capsys, runner):
    """A runner that starts commands has nothing to write, and says so."""
    file = tmp_path / "package"
    words = ["--runner", runner, "--compile-only", str(file), "--set", "numbers.rows=4"]
    environment = {"CONTAINER_ENGINE": "true"}  # answers whatever it is asked
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert start(tmp_path / "base", *words) == 2
    assert capsys.readouterr().err == (
        f"error: --compile-only: the runner {runner!r} starts commands and has no package to "
        "write.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_package(tmp_path, capsys):
    """Without a runner's name or HOST, a package is one for Kubeflow; a bad place is told."""
    file = tmp_path / "package.yaml"
    assert start("s3://bucket/base", "--compile-only", str(file), "--fan-out", "double=2") == 0
    doubt, told = capsys.readouterr().out.splitlines()
    assert doubt.startswith("in no images.lock, so whether they hold the present code is not known")
    assert told == f"wrote {file}"
    assert '["0/2", "1/2"]' in str(yaml.safe_load(file.read_text(encoding="utf-8").split("---")[0]))
    assert start("s3://bucket/base", "--compile-only", str(tmp_path / "no" / "file")) == 2
    assert "cannot be written (No such file or directory)." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words", "code", "message"),
    [
        ({"KUBEFLOW_VOLUME": "sd data"}, [], 1, "KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PA"),
        ({"KUBEFLOW_INTERVAL": "soon"}, [], 1, "KUBEFLOW_INTERVAL must be a number of seconds"),
        ({}, ["--fan-out", "doubel=2"], 2, "there is no step 'doubel'; did you mean 'double'?"),
        ({}, ["--fan-out", "double=no"], 2, "--fan-out double=no: expected STEP=N, such as "),
    ],
)
def test_what_a_runner_refuses(capsys, settings, words, code, message):
    """A runner's settings and options are read with the rest, and refused in one line."""
    settings = {"HOST": "http://kfp.example.com", **settings}
    assert start("s3://bucket/base", "--dry-run", *words, settings=settings) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_a_plan_that_no_cluster_could_run(tmp_path, capsys):
    """It is refused as it is described, as it would be as it is submitted."""
    assert start(tmp_path, "--dry-run", settings={"HOST": "http://kfp.example.com"}) == 1
    told = f"error: BASE_PATH {tmp_path} is a folder of this machine, which the cluster cannot see"
    assert capsys.readouterr().err.startswith(told)


def test_a_host_is_looked_for_before_the_plan(capsys):
    """The preflight is the runner's, and comes before the pipeline is built."""

    def build(_: argparse.Namespace) -> Pipeline:
        raise AssertionError

    settings = {"HOST": "my-laptop"}
    assert launch(build, argparse.ArgumentParser(), [], settings=settings) == 1
    assert capsys.readouterr().err.startswith("error: HOST is 'my-laptop', which is no URL.")


@pytest.mark.parametrize("ignored", [True, False])
def test_nohup(tmp_path, ignored):
    """A closed terminal ends the steps, unless nohup has us ignore that."""
    program = (
        "import os, signal, sys; "
        + ("signal.signal(signal.SIGHUP, signal.SIG_IGN); " if ignored else "")
        + "from argparse import ArgumentParser; "
        "from fondant_spec.pipeline import Pipeline; "
        "from fondant_spec.runners.command_line import launch\n"
        "def build(_):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        f"    pipeline = Pipeline('small', {str(tmp_path)!r})\n"
        f"    pipeline.add({str(COMPONENTS / 'numbers')!r})\n"
        "    return pipeline\n"
        "sys.exit(launch(build, ArgumentParser(), ['--dry-run']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == (0 if ignored else 130), done.stderr


def test_an_unknown_runner(tmp_path, capsys):
    """A runner that does not exist is wrong usage."""
    with pytest.raises(SystemExit) as caught:
        start(tmp_path, "--runner", "cloud")
    assert caught.value.code == 2
    assert "invalid choice: 'cloud'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--dry-run"], []])
def test_a_path_that_leads_nowhere_is_told_before_anything_runs(
    tmp_path, capsys, monkeypatch, words
):
    """A dataset, a model or an index that is not there is an error of the plan; an id is not."""
    there = tmp_path / "part [1].csv"
    there.touch()

    def build(_: argparse.Namespace) -> Pipeline:
        pipeline = Pipeline("small", tmp_path / "base")
        load = COMPONENTS.parents[1] / "components" / "load_from_hub"
        for number, name in enumerate((tmp_path / "photos", "owner/name", there, f"{there}*")):
            pipeline.add(load, step_id=f"load_{number}", arguments={"dataset_name": str(name)})
        model = {"model_id": "./blip", "clip_model_id": "models/openai/clip"}
        captions = COMPONENTS.parents[1] / "components" / "caption_images"
        pipeline.add(captions, after=pipeline.steps["load_0"], arguments=model)
        prompts = COMPONENTS.parents[1] / "components" / "generate_prompts"
        pipeline.add(prompts, arguments={"prompts": "interior_desing"})  # of no hub
        return pipeline

    monkeypatch.chdir(tmp_path)
    assert launch(build, argparse.ArgumentParser(), words) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"error: load_0: dataset_name: {tmp_path}/photos: there is no such file or folder.\n"
        f"generate_prompts: prompts: {tmp_path}/interior_desing: there is no such file or folder.\n"
        "caption_images: model_id: ./blip: there is no such file or folder.\n"
        "caption_images: clip_model_id: models/openai/clip: there is no such file or folder.\n"
    )
    assert not (tmp_path / "base").exists()
