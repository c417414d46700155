"""The runner in docs/adding_a_runner.md runs as printed there, and gives the same results."""

import argparse
import re
from pathlib import Path

import pytest

from fondant_spec.pipeline import Pipeline
from fondant_spec.runners import RUNNERS, LocalRunner
from fondant_spec.runners.command_line import launch
from tests.small import COMPONENTS

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_runner.md"


@pytest.fixture(scope="module")
def runner():
    """Return the class of the page."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, PAGE, "exec"), names)
    return names["ScriptRunner"]


def describe(base: Path) -> Pipeline:
    """Return a pipeline of two steps."""
    pipeline = Pipeline("small", base)
    numbers = pipeline.add(COMPONENTS / "numbers", arguments={"rows": 3})
    pipeline.add(COMPONENTS / "double", after=numbers, workers=1)
    return pipeline


def test_it_runs(runner, tmp_path, capsys):
    """Its rows are those of the local runner, which takes over from there."""

    def start(*words: str) -> int:
        return launch(
            lambda _: describe(tmp_path / "base"),
            argparse.ArgumentParser(),
            ["--runner", "script", *words],
            settings={"SCRIPT_FOLDER": str(tmp_path / "own folder")},
            runners=RUNNERS | {"script": runner},
        )

    script = tmp_path / "run.sh"
    assert start("--compile-only", str(script)) == 0
    assert script.read_text(encoding="utf-8").count("--pipeline_name small") == 2
    assert start() == 0
    *_, numbers, double = capsys.readouterr().out.splitlines()
    assert (numbers.split()[:3], double.split()[:3]) == (
        ["numbers", "3", "3"],
        ["double", "3", "3"],
    )
    again = LocalRunner().run(describe(tmp_path / "base").plan(), lambda _: None)
    assert [result.cached for result in again] == [True, True]
    assert start("--set", "numbers.fail_at=1") == 1
    assert "error: the script failed with exit code 1:" in capsys.readouterr().err


def test_every_part_of_the_interface_is_told():
    """The page has a row for each method of the interface, and no other."""
    rows = re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    public = [name for name in vars(RUNNERS["local"].__mro__[1]) if not name.startswith("_")]
    assert rows == public
