"""The command line of a pipeline file."""

import argparse
from contextlib import contextmanager

import pytest

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
        "  batch_rows = 7",
        "  own_ids = False",
        "  skip = []",
        "  fail_at = None",
        "  fields     number, word",
        "",
        "double: runs, because it has no earlier result here",
        "  after      numbers",
        f"  component  {COMPONENTS}/double/fondant_component.yaml",
        "  factor = 4",
        "  reject_odd = False",
        "  lexicon = ''",
        "  fields     number, word, double",
    ]
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "double.factor=x"], 2, "double: argument 'factor' must be of type int in JSON"),
        (
            ["--set", "double.fator=1"],
            2,
            "double: unknown argument 'fator'; did you mean 'factor'?",
        ),
        (["--set", "duoble.factor=1"], 1, "there is no step 'duoble'; did you mean 'double'?"),
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


def test_a_failed_run(tmp_path, capsys):
    """An error that the user can fix ends with 1, without a traceback."""
    assert start(tmp_path, "--set", "numbers.fail_at=1") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: step 'numbers' failed with exit code 1.")
    assert error.endswith("RuntimeError: the source broke at 1\n")


def test_an_unknown_runner(tmp_path, capsys):
    """A runner that does not exist is wrong usage."""
    with pytest.raises(SystemExit) as caught:
        start(tmp_path, "--runner", "cloud")
    assert caught.value.code == 2
    assert "invalid choice: 'cloud'" in capsys.readouterr().err
