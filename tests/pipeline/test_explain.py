"""Explaining why a step is, or is not, a cache hit."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fondant_spec.pipeline.explain import differences, explain
from fondant_spec.pipeline.graph import Pipeline
from tests.small import COMPONENTS, run_here


def plan(base: Path, component: Path = COMPONENTS / "double", **options: object):
    """Return the plan of numbers, doubled and then negated."""
    pipeline = Pipeline("small", base)
    numbers = pipeline.add(COMPONENTS / "numbers")
    double = pipeline.add(component, after=numbers, workers=1, **options)
    pipeline.add(COMPONENTS / "waits", after=double, workers=1)
    return pipeline.plan()


@pytest.fixture
def component(tmp_path):
    """Return a copy of a component, to be changed."""
    return Path(shutil.copytree(COMPONENTS / "double", tmp_path / "double"))


def test_why_each_step_runs(tmp_path, component):
    """From nothing to hits, and back by every kind of change."""
    base = tmp_path / "base"
    assert explain(plan(base, component)) == [
        "numbers: runs, because it has no earlier result here",
        "double: runs, because it has no earlier result here",
        "waits: runs, because it has no earlier result here",
    ]
    folders = [manifest.folder for manifest in run_here(plan(base, component))]
    hits = [
        f"{name}: a hit, 10 rows at {folder}"
        for name, folder in zip(["numbers", "double", "waits"], folders, strict=True)
    ]
    assert explain(plan(base, component)) == hits
    assert explain(plan(base, component, arguments={"factor": 3})) == [
        hits[0],
        "double: runs; arguments.factor: 2 became 3",
        "waits: runs; its input is another one",
    ]
    assert explain(plan(base, component, produces={"double": "d"}))[1] == (
        "double: runs; produces.double: None became 'd'"
    )
    assert explain(plan(base, component, cache=False))[1:] == [
        "double: runs, because the step says cache=False",
        "waits: depends on double: a hit if that gives the same rows again",
    ]
    main = component / "src" / "main.py"
    code = main.read_text(encoding="utf-8")
    main.write_text(code + "# changed\n", encoding="utf-8")
    assert explain(plan(base, component))[1] == "double: runs; the component's code changed"
    main.write_text(code, encoding="utf-8")
    (Path(folders[1]) / "data" / "part-00000.parquet").unlink()
    assert explain(plan(base, component)) == [
        hits[0],
        "double: runs, because its input's content changed, or its result is gone or changed",
        "waits: depends on double: a hit if that gives the same rows again",
    ]


def test_files_that_changed(tmp_path):
    """Of a file that an argument names, the change of its content is told, not its hash."""
    words = tmp_path / "words.txt"
    words.write_text("one", encoding="utf-8")
    options = {"arguments": {"lexicon": str(words)}}
    run_here(plan(tmp_path / "base", **options))
    words.write_text("two", encoding="utf-8")
    assert explain(plan(tmp_path / "base", **options))[1] == (
        "double: runs; arguments.lexicon: the content of the files changed"
    )


def test_the_latest_result_is_told_by_time(tmp_path):
    """What differs is told from the result that was written last, whatever its run's name."""
    for run_id, factor, written in (("manual-ffff", 3, 100), ("20260101T000000-abcdef", 4, 200)):
        options = {"arguments": {"factor": factor}}
        made = run_here(replace(plan(tmp_path, **options), run_id=run_id))
        os.utime(made[1].location, (written, written))
    assert explain(plan(tmp_path, arguments={"factor": 5}))[1] == (
        "double: runs; arguments.factor: 4 became 5"
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"code": "a"}, {"code": "b"}, ["the component's code changed"]),
        ({"inputs": ["a"]}, {"inputs": ["b"]}, ["its input is another one"]),
        (
            {"arguments": {"a": 1, "b": 2}, "consumes": {}},
            {"arguments": {"b": 3, "c": 4}, "consumes": {"x": "y"}},
            [
                "arguments.a: 1 became None",
                "arguments.b: 2 became 3",
                "arguments.c: None became 4",
                "consumes.x: None became 'y'",
            ],
        ),
        ({}, {}, ["nothing in the key differs"]),
    ],
)
def test_differences(old, new, expected):
    """Everything that differs is told, in a fixed order."""
    assert differences(json.loads(json.dumps(old)), new) == expected
