"""Plans: every path, argument and cache key settled, and the argument vector of each step."""

import shutil

import pytest

from fondant_spec.pipeline.graph import Pipeline
from tests.small import COMPONENTS, run_here


@pytest.fixture
def plan(tmp_path):
    """Return the plan of three steps, with something of everything."""
    pipeline = Pipeline("small", tmp_path)
    numbers = pipeline.add(
        COMPONENTS / "numbers", arguments={"rows": 3, "skip": [1]}, rows_per_partition=100
    )
    doubled = pipeline.add(
        COMPONENTS / "double",
        after=numbers,
        step_id="twice",
        arguments={"factor": -2, "reject_odd": False},
        produces={"double": "two words"},
        max_reject_share=0.25,
        workers=1,
        cache=False,
    )
    pipeline.add(COMPONENTS / "waits", after=[doubled, numbers], consumes={"number": "two words"})
    return pipeline.plan(run_id="run-1")


def test_the_words_of_each_step(plan, tmp_path):
    """The argument vector of a step names all arguments, and options that are no default."""
    numbers, twice, waits = plan.steps
    common = ["--base_path", str(tmp_path), "--pipeline_name", "small", "--step_id"]
    run = ["--run_id", "run-1", "--output_manifest_path"]
    assert plan.argv(numbers, [], "/out/1") == [
        *common, "numbers", *run, "/out/1",
        "--rows_per_partition", "100",
        "--step_retries", "2",
        "--rows", "3", "--batch_rows", "7", "--own_ids", "false", "--skip", "[1]",
    ]  # fmt: skip
    assert plan.argv(twice, ["/in/1"], "/out/2") == [
        *common, "twice", *run, "/out/2",
        "--input_manifest_path", "/in/1",
        "--produces", '{"double": "two words"}',
        "--max_reject_share", "0.25",
        "--workers", "1",
        "--cache", "false",
        "--step_retries", "2",
        "--factor", "-2", "--reject_odd", "false", "--lexicon", "",
    ]  # fmt: skip
    assert plan.argv(waits, ["/in/2", "/in/1"], "/out/3") == [
        *common, "waits", *run, "/out/3",
        "--input_manifest_path", '["/in/2", "/in/1"]',
        "--consumes", '{"number": "two words"}',
        "--step_retries", "2",
        "--at", "0", "--gate", "", "--child", "false",
    ]  # fmt: skip


def test_where_each_step_writes(plan, tmp_path):
    """The place of a result is known before it runs: pipeline, step and cache key."""
    for step in plan.steps:
        assert step.location == f"{tmp_path}/small/{step.id}/{step.cache_key}/manifest.json"


def test_the_executor_agrees_with_the_plan(plan, enter):
    """What a step makes lies where it was planned, with the fields that were planned."""
    made = {}
    for step in plan.steps:
        inputs = [made[name].location for name in step.step.after]
        words = plan.argv(step, inputs, "/dev/null")[2:]
        made[step.id] = enter(step.spec.component_id, base=plan.base_path, words=words)
        assert made[step.id].location == step.location
        assert {n: (f.type, f.location) for n, f in made[step.id].fields.items()} == {
            n: (f.type, f.location) for n, f in step.fields.items()
        }


def test_what_is_committed(plan, enter):
    """A step that is done needs not run, but one that follows a step to run waits for it."""
    assert plan.committed() == {}
    numbers = plan.steps[0]
    made = enter("numbers", base=plan.base_path, words=plan.argv(numbers, [], "/dev/null")[2:])
    assert plan.committed() == {"numbers": made}


def test_another_spec_of_the_same_code(tmp_path):
    """A component may have several specs beside its code; the step runs with the one named."""
    folder = tmp_path / "numbers"
    shutil.copytree(COMPONENTS / "numbers", folder)
    text = (folder / "fondant_component.yaml").read_text(encoding="utf-8")
    few = folder / "few.yaml"
    few.write_text(text.replace("default: 10", "default: 3"), encoding="utf-8")
    pipeline = Pipeline("small", tmp_path / "base")
    pipeline.add(few)

    (made,) = run_here(pipeline.plan())

    assert made.rows == 3
    assert made.location == pipeline.plan().steps[0].location
