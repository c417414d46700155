"""What the command line of a pipeline file changes in its steps."""

import argparse
from pathlib import Path

import pytest

from fondant_spec.pipeline import Pipeline
from fondant_spec.pipeline.run_history import read_runs
from fondant_spec.runners.command_line import launch
from tests.small import COMPONENTS

GENERATE = Path(__file__).parents[2] / "components" / "generate_prompts"


def start(base, *words: object, first: Path = COMPONENTS / "numbers") -> int:
    """Launch a pipeline of three steps, and return the exit code."""

    def build(_: argparse.Namespace) -> Pipeline:
        pipeline = Pipeline("small", base)
        numbers = pipeline.add(first, step_id="first")
        if first.name == "numbers":
            double = pipeline.add(
                COMPONENTS / "double",
                after=numbers,
                arguments={"factor": 3, "reject_odd": True},
                workers=1,
            )
            pipeline.add(COMPONENTS / "waits", after=double, workers=1)
            pipeline.add(COMPONENTS / "keep_even", after=numbers, workers=1)
        return pipeline

    return launch(build, argparse.ArgumentParser(), list(map(str, words)))


def planned(capsys, base, *words: object, **options: Path) -> str:
    """Return the plan that is told."""
    assert start(base, "--dry-run", *words, **options) == 0
    return capsys.readouterr().out


def error(capsys, base, *words: object, **options: Path) -> str:
    """Return what is said of a command line that is refused before anything runs."""
    assert start(base, *words, **options) == 2
    assert not (base / "small").exists()
    return capsys.readouterr().err.removeprefix("error: ")


def test_the_way_that_the_message_of_the_threshold_names(tmp_path, capsys):
    """A step that gave up on too many rows says which option lets it, and that does."""
    words = ["--until", "double", "--set", "double.@max_reject_share=0.4"]
    assert start(tmp_path, *words) == 1
    told = capsys.readouterr().out  # the step's own words, as they came
    assert "5 of 10 rows failed (50%)" in told
    _, _, advice = told.partition("allow a greater share with `")
    assert start(tmp_path, "--until", "double", *advice.partition("`")[0].split()) == 0
    assert "odd 5" in capsys.readouterr().out


def test_options(tmp_path, capsys):
    """Options are set like arguments, and checked like them."""
    assert "told" not in planned(capsys, tmp_path, "--set", "first.@rows_per_partition=3")
    assert start(tmp_path, "--until", "first", "--set", "first.@rows_per_partition=3") == 0
    assert len(list(tmp_path.glob("small/first/*/data/*"))) == 4
    capsys.readouterr()
    told = planned(capsys, tmp_path, "--until", "first", "--set", "first.@cache=false")
    assert "cache=False" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "double.@worker=2"], "double: unknown argument '@worker'; did you mean '@work"),
        (["--set", "double.workers=2"], "double: unknown argument 'workers'; did you mean '@work"),
        (["--set", "double.@workers=0"], "double: argument 'workers' must be at least 1, not 0."),
        (["--set", "double.@memory=2GB"], "double: memory: '2GB' is no quantity of Kubernetes; "),
        (["--set", "double.@cpu=0"], "double: Resources: cpu must be above 0, not '0'."),
        (["--set", "double.@cache=maybe"], "double: argument 'cache' must be of type bool in JS"),
        (["--unset", "double.fator"], "double: unknown argument 'fator'; did you mean 'factor'?"),
        (["--unset", "double"], "--unset double: expected STEP.ARGUMENT, such as caption_images."),
        (["--unset", "duble.factor"], "there is no step 'duble'; did you mean 'double'?"),
        (["--rerun", "duble"], "there is no step 'duble'; did you mean 'double'?"),
        (["--until", "duble"], "there is no step 'duble'; did you mean 'double'?"),
        (["--until", "first", "--rerun", "double"], "there is no step 'double'. Steps: first."),
        (["--retry", "duble"], "there is no step 'duble'; did you mean 'double'?"),
        (["--limit", "3"], "--limit 3: first has no argument 'n_rows_to_load' by which it would "),
        (["--config", "/nowhere.yaml"], "--config /nowhere.yaml: cannot be read (No such file"),
    ],
)
def test_what_is_refused(tmp_path, capsys, words, message):
    """What fits nothing ends with 2, and nothing runs."""
    assert error(capsys, tmp_path, *words).startswith(message)


def test_unset(tmp_path, capsys):
    """An argument gets its default back, whatever the pipeline says; --set goes before that."""
    assert "factor = 3" in planned(capsys, tmp_path)
    assert "factor" not in planned(capsys, tmp_path, "--unset", "double.factor")
    words = ["--unset", "double.factor", "--set", "double.factor=5"]
    assert "factor = 5" in planned(capsys, tmp_path, *words)


def test_unset_of_what_must_be_given(tmp_path, capsys):
    """An argument without a default cannot be taken away."""
    load = Path(__file__).parents[2] / "components" / "load_from_hub"

    def build(_: argparse.Namespace) -> Pipeline:
        pipeline = Pipeline("small", tmp_path)
        pipeline.add(load, arguments={"dataset_name": "owner/seeds"})
        return pipeline

    words = ["--dry-run", "--unset", "load_from_hub.dataset_name"]
    assert launch(build, argparse.ArgumentParser(), words) == 2
    assert capsys.readouterr().err == (
        "error: load_from_hub: argument 'dataset_name' has no default; give it a value.\n"
    )


def test_until_and_rerun(tmp_path):
    """Only a step and those it needs run; a step runs again when told to, and only that one."""
    assert start(tmp_path, "--until", "double") == 0
    assert start(tmp_path, "--until", "double", "--rerun", "double") == 0
    runs = read_runs(str(tmp_path), "small")
    assert [[(s["step_id"], s["cached"]) for s in run["steps"]] for run in runs] == [
        [("first", False), ("double", False)],
        [("first", True), ("double", False)],
    ]


def test_limit(tmp_path, capsys):
    """A step that loads takes no more rows; it may well take fewer."""
    options = {"first": GENERATE}
    assert "n_rows_to_load = 3" in planned(capsys, tmp_path, "--limit", 3, **options)
    fewer = ["--limit", 3, "--set", "first.n_rows_to_load=2"]
    assert "n_rows_to_load = 2" in planned(capsys, tmp_path, *fewer, **options)
    assert error(capsys, tmp_path, "--limit", 0, **options).startswith(
        "first: argument 'n_rows_to_load' must be at least 1, not 0."
    )
    assert start(tmp_path, "--limit", 3, **options) == 0
    assert "[1/1] first: 3 rows in" in capsys.readouterr().out


def test_a_file_of_settings(tmp_path, capsys):
    """Its values are typed; --set goes before it."""
    file = tmp_path / "run.yaml"
    file.write_text(
        "first: {rows: 5, skip: [1]}\ndouble: {factor: 7, '@max_reject_share': 1}\n",
        encoding="utf-8",
    )
    base = tmp_path / "base"
    told = planned(capsys, base, "--config", file, "--set", "double.factor=8")
    assert "rows = 5" in told
    assert "skip = [1]" in told
    assert "factor = 8" in told
    assert start(base, "--config", file, "--until", "double") == 0
    assert "odd 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("duble: {factor: 1}", "there is no step 'duble'; did you mean 'double'?"),
        ("double: {fator: 1}", "double: unknown argument 'fator'; did you mean 'factor'?"),
        ("double: {'@worker': 1}", "double: unknown argument '@worker'; did you mean '@workers'?"),
        ("double: {factor: x}", "double: argument 'factor' must be of type int, not 'x' (str)."),
        ("double: 3", "double: expected arguments and what they are given, such as"),
        ("", "expected steps and what they are given, such as"),
        ("double: [", "cannot be read (while parsing"),
        (
            "double: {factor: 1}\nnumbers: {}\ndouble: {factor: 2}",
            "cannot be read (the key 'double' comes twice, again on line 3).",
        ),
        ("double: {factor: 1, factor: 2}", "cannot be read (the key 'factor' comes twice, again"),
    ],
)
def test_a_wrong_file_of_settings(tmp_path, capsys, text, message):
    """What is unknown in it, or of another type, is refused with the name of the file."""
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    told = error(capsys, tmp_path, "--config", file)
    assert told.startswith(f"--config {file}: {message}")


def test_a_reason_that_no_row_has(tmp_path, capsys):
    """A reason to retry must be one of those that rows failed for, once any did."""
    words = ["--until", "double"]
    assert start(tmp_path, *words, "--retry", "double=odd") == 0  # nothing is known of it yet
    capsys.readouterr()
    assert start(tmp_path, *words, "--retry", "double=od") == 2
    assert capsys.readouterr().err == (
        "error: --retry double=od: no row failed so; did you mean 'odd'? Failed rows: odd 5.\n"
    )
    assert start(tmp_path, *words, "--retry", "double=odd") == 0
    assert start(tmp_path, *words, "--retry", "double") == 0


def test_a_reason_of_rows_that_were_left_out(tmp_path, capsys):
    """Rows that were left out on purpose are not tried again, and that is said."""
    assert start(tmp_path, "--until", "keep_even") == 0
    capsys.readouterr()
    assert start(tmp_path, "--until", "keep_even", "--retry", "keep_even=filtered") == 2
    assert capsys.readouterr().err == (
        "error: --retry keep_even=filtered: rows were left out for it, not failed. Failed rows: "
        "none.\n"
    )
