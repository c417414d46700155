"""Describing a pipeline: what fits together, and what is refused before anything runs."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.errors import (
    InvalidArgumentError,
    InvalidComponentSpecError,
    InvalidConfigError,
    InvalidPipelineError,
)
from fondant_spec.pipeline.graph import Pipeline, Resources
from tests.small import COMPONENTS


@pytest.fixture
def pipeline(tmp_path):
    """Return an empty pipeline."""
    return Pipeline("small", tmp_path)


def test_steps_in_order(pipeline):
    """Steps are planned after those they read, whatever the order they were added in."""
    pipeline.add(COMPONENTS / "double", after="numbers", step_id="last")
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "keep_even", after=numbers)
    assert [step.id for step in pipeline.plan().steps] in (
        ["numbers", "last", "keep_even"],
        ["numbers", "keep_even", "last"],
    )


def test_the_same_component_twice(pipeline):
    """A component can be used again; its second step gets a number."""
    numbers = pipeline.add(COMPONENTS / "numbers")
    first = pipeline.add(COMPONENTS / "double", after=numbers)
    second = pipeline.add(
        COMPONENTS / "double", after=first, consumes={"number": "double"}, arguments={"factor": 3}
    )
    assert [first.id, second.id] == ["double", "double_2"]
    keys = {step.id: step.cache_key for step in pipeline.plan().steps}
    assert len(set(keys.values())) == 3


def test_branches(pipeline):
    """Branches of one dataset are joined, with the fields of both."""
    numbers = pipeline.add(COMPONENTS / "numbers")
    left = pipeline.add(COMPONENTS / "keep_even", after=numbers)
    right = pipeline.add(COMPONENTS / "double", after=numbers)
    pipeline.add(COMPONENTS / "waits", after=[left, right], consumes={"number": "double"})
    plan = pipeline.plan()
    assert list(plan.steps[-1].fields) == ["number", "word", "double", "negative"]


def test_partitions_of_another_step(pipeline):
    """How large partitions are is set where they are made; elsewhere it is refused, not ignored."""
    numbers = pipeline.add(COMPONENTS / "numbers", rows_per_partition=2)
    double = pipeline.add(COMPONENTS / "double", after=numbers)
    even = pipeline.add(COMPONENTS / "keep_even", after=double)
    pipeline.add(COMPONENTS / "repeat", after=even, rows_per_partition=3)
    pipeline.plan()
    pipeline.override("keep_even", "@rows_per_partition", "4")
    with pytest.raises(InvalidPipelineError) as caught:
        pipeline.plan()
    assert str(caught.value) == (
        "keep_even: rows_per_partition has no effect here: the step takes over the partitions of "
        "numbers; set it there (--set numbers.@rows_per_partition=4)."
    )


def test_fields_along_the_way(pipeline):
    """Each planned step knows the fields after it: new ones, overwritten ones, none before ids."""
    numbers = pipeline.add(COMPONENTS / "numbers")
    doubled = pipeline.add(COMPONENTS / "double", after=numbers, produces={"double": "number"})
    many = pipeline.add(COMPONENTS / "repeat", after=doubled)
    pipeline.add(COMPONENTS / "write_lines", after=many, consumes={"t": "turn"})
    fields = {step.id: step.fields for step in pipeline.plan().steps}
    assert list(fields["double"]) == ["number", "word"]
    assert "/double/" in fields["double"]["number"].location
    assert list(fields["repeat"]) == list(fields["write_lines"]) == ["turn", "seed_id"]


def test_describing_runs_nothing(pipeline, tmp_path):
    """Neither adding a step nor planning touches the base path."""
    pipeline.add(COMPONENTS / "numbers")
    pipeline.plan()
    assert list(tmp_path.iterdir()) == []


def broken(pipeline: Pipeline, **options: object) -> None:
    """Plan numbers, and one more step."""
    pipeline.add(COMPONENTS / "numbers")
    component = COMPONENTS / str(options.pop("component", "double"))
    pipeline.add(component, **{"after": "numbers"} | options)
    pipeline.plan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"consumes": {"number": "nubmer"}},
            (
                "double: there is no field 'nubmer' at this point; did you mean 'number'? "
                "Fields here: number, word."
            ),
        ),
        (
            {"consumes": {"number": "word"}},
            (
                "double: field 'word' is of type string, but the component consumes int64; map "
                "another field to 'number' with `consumes`."
            ),
        ),
        (
            {"produces": {"dobule": "x"}},
            "double: the component produces no field 'dobule'; did you mean 'double'?",
        ),
        (
            {"after": "nubmers"},
            "double: comes after 'nubmers', but there is no such step; did you mean 'numbers'?",
        ),
        (
            {"after": ()},
            (
                "double: the component consumes fields; say which step it comes `after` (for the "
                "executor, --input_manifest_path)."
            ),
        ),
        (
            {"component": "pictures"},
            "pictures: the component consumes nothing, so it cannot come after another step.",
        ),
        (
            {"after": "double"},
            "the steps go round in a circle: double -> double; take one of the `after` away.",
        ),
        (
            {"step_id": "numbers"},
            "there are two steps 'numbers'; give one of them another step_id.",
        ),
        (
            {"step_id": "Double It"},
            (
                "the step id 'Double It' must begin with a letter and be made of lower-case "
                "letters, digits, `-` and `_`, 63 at most."
            ),
        ),
    ],
)
def test_what_does_not_fit(pipeline, options, message):
    """Steps that cannot work together are refused, with the place and the remedy."""
    with pytest.raises(InvalidPipelineError) as caught:
        broken(pipeline, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"arguments": {"fcator": 3}},
            (
                "double: unknown argument 'fcator'; did you mean 'factor'? "
                "Known: factor, reject_odd, lexicon."
            ),
        ),
        (
            {"arguments": {"factor": "3"}},
            "double: argument 'factor' must be of type int, not '3' (str).",
        ),
        (
            {"component": "misbehave"},
            "misbehave: missing argument 'how'; give it a value.",
        ),
        ({"workers": 0}, "double: argument 'workers' must be at least 1, not 0."),
        (
            {"max_reject_share": 50},
            "double: argument 'max_reject_share' must be from 0 to 1, not 50.0.",
        ),
    ],
)
def test_wrong_arguments(pipeline, options, message):
    """A wrong argument is refused when the step is added."""
    with pytest.raises(InvalidArgumentError) as caught:
        broken(pipeline, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"consumes": ["number"]}, "argument 'consumes' must be of type dict, not ['number']"),
        ({"produces": ["number"]}, "produces must be of type Mapping[str, Any], not ['number']."),
        ({"resources": {"cpu": "2"}}, "double: resources must be of type Resources, not {'cpu'"),
        ({"cache": "no"}, "double: argument 'cache' must be of type bool, not 'no'"),
        ({"fan_out": True}, "double: fan_out must be of type int, not True."),
        ({"fan_out": 0}, "double: fan_out must be at least 1, not 0."),
        ({"retry": [404]}, "double: retry must be of type tuple[str, ...], not (404,)."),
        ({"arguments": [1]}, "double: arguments must be of type Mapping[str, Any], not [1]."),
    ],
)
def test_options_of_another_type(pipeline, options, message):
    """An option of another type is refused in words, when a step is added and when it changes."""
    with pytest.raises((InvalidPipelineError, InvalidArgumentError)) as caught:
        broken(pipeline, **options)
    assert message in str(caught.value)
    if "arguments" not in options:
        pipeline.add(COMPONENTS / "double")
        with pytest.raises((InvalidPipelineError, InvalidArgumentError)) as caught:
            pipeline.change("double", **options)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpu": 2}, "2 is no quantity of Kubernetes; write it like '500m', '2', '8Gi' or '16G'."),
        ({"cpu": "2", "cpu_limit": "500m"}, "Resources: cpu_limit is 500m, less than cpu, 2."),
        (
            {"retries": -1},
            "retries and backoff must be 0 or more, timeout 1 (second)",
        ),
        ({"timeout": 0}, "retries and backoff must be 0 or more, timeout 1 (second)"),
        ({"memory": "0Gi"}, "Resources: memory must be above 0, not '0Gi'."),
        ({"cpu": "\N{ARABIC-INDIC DIGIT TWO}"}, "is no quantity of Kubernetes; write it like "),
        ({"accelerators": 0}, "accelerators must be 1 or more; leave accelerator empty for none."),
        (
            {"node_selector": {"pool": "a b"}},
            "node_selector has 'pool': 'a b', which is no label of Kubernetes.",
        ),
        (
            {"tolerations": ({"key": "gpu", "tolerationSeconds": "9"},)},
            "a toleration has 'tolerationSeconds'; it may say key, operator, value, effect.",
        ),
        (
            {"tolerations": ({"key": "gpu", "operator": "Exist"},)},
            "the operator of a toleration is 'Exist', not Exists or Equal.",
        ),
        ({"accelerators": "1"}, "Resources: accelerators must be of type int, not '1'."),
        ({"node_selector": {"a": 1}}, "must be of type Mapping[str, str], not {'a': 1}."),
        ({"tolerations": [{"key": "a"}]}, "must be of type tuple[Mapping[str, str], ...], not [{"),
        ({"timeout": "1h"}, "Resources: timeout must be of type int | None, not '1h'."),
    ],
)
def test_resources_of_another_type(options, message):
    """What no runner could read is refused where it is written."""
    with pytest.raises(InvalidPipelineError) as caught:
        Resources(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("method", ["add", "change"])
def test_a_wrong_keyword(pipeline, method):
    """A keyword that does not exist is refused with the one that was meant."""
    pipeline.add(COMPONENTS / "double", step_id="double" if method == "change" else "other")
    which = {"add": COMPONENTS / "double", "change": "double"}[method]
    with pytest.raises(InvalidPipelineError) as caught:
        getattr(pipeline, method)(which, argument={})
    assert str(caught.value).startswith(
        "double: unknown option 'argument'; did you mean 'arguments'? Known: after, step_id, "
    )


def test_change(pipeline):
    """Only what is named changes; arguments are checked and filled as when a step is added."""
    pipeline.add(COMPONENTS / "double", arguments={"factor": 3}, workers=2)
    pipeline.change("double", arguments={"reject_odd": True}, retry="odd", cache=False)
    step = pipeline.steps["double"]
    assert step.arguments == {"factor": 3, "reject_odd": True, "lexicon": ""}
    assert (step.workers, step.retry, step.cache) == (2, ("odd",), False)
    with pytest.raises(InvalidArgumentError, match="double: unknown argument 'fcator'; did you"):
        pipeline.change("double", arguments={"fcator": 3})


@pytest.mark.parametrize("base_path", ["", " "])
def test_an_empty_base_path(base_path):
    """No data lands where nobody said."""
    with pytest.raises(InvalidConfigError) as caught:
        Pipeline("small", base_path)
    assert str(caught.value) == (
        "the base path (BASE_PATH, --base-path) is empty; name a folder or a URL."
    )


def test_a_circle_of_several(pipeline):
    """A cycle is told as a walk along it."""
    pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "double", after=["numbers", "b"], step_id="a")
    pipeline.add(COMPONENTS / "double", after="a", step_id="b")
    with pytest.raises(InvalidPipelineError) as caught:
        pipeline.plan()
    assert str(caught.value) in (
        "the steps go round in a circle: a -> b -> a; take one of the `after` away.",
        "the steps go round in a circle: b -> a -> b; take one of the `after` away.",
    )


def test_branches_that_cannot_be_joined(pipeline):
    """Branches between which ids were made anew have no rows in common."""
    numbers = pipeline.add(COMPONENTS / "numbers")
    many = pipeline.add(COMPONENTS / "repeat", after=numbers)
    pipeline.add(COMPONENTS / "double", after=[numbers, many])
    with pytest.raises(InvalidPipelineError) as caught:
        pipeline.plan()
    assert str(caught.value) == (
        "double: 'numbers' and 'repeat' have different rows, because ids were made anew between "
        "them."
    )


def test_branches_with_one_name_for_two_fields(pipeline):
    """Two branches that produce the same name are refused before anything runs."""
    numbers = pipeline.add(COMPONENTS / "numbers")
    left = pipeline.add(COMPONENTS / "double", after=numbers)
    right = pipeline.add(COMPONENTS / "double", after=numbers, arguments={"factor": 3})
    pipeline.add(COMPONENTS / "waits", after=[left, right])
    with pytest.raises(InvalidPipelineError) as caught:
        pipeline.plan()
    assert str(caught.value) == (
        "waits: field 'double' comes from both 'double' and 'double_2'; give one of them another "
        "name with `produces`."
    )


def test_an_empty_pipeline(pipeline):
    """A pipeline without steps is refused."""
    with pytest.raises(InvalidPipelineError, match=r"^pipeline 'small' has no steps; add some\.$"):
        pipeline.plan()


def test_a_missing_spec(pipeline, tmp_path):
    """A component that is not there is refused by its path."""
    with pytest.raises(InvalidComponentSpecError) as caught:
        pipeline.add(tmp_path / "nothing")
    assert str(caught.value) == (
        f"{tmp_path}/nothing: cannot read the component spec (No such file or directory); check "
        "the path."
    )


def test_additional_fields(pipeline):
    """Fields that the spec does not declare are refused where it does not allow for them."""
    pipeline.add(COMPONENTS / "numbers", produces={"x": pa.int8()})
    with pytest.raises(InvalidPipelineError, match=r"^numbers: the component produces no field"):
        pipeline.plan()


def test_override(pipeline):
    """A word from a command line replaces an argument, in its type."""
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "double", after=numbers)
    pipeline.override("double", "factor", "7")
    pipeline.override("double", "reject_odd", "true")
    arguments = pipeline.steps["double"].arguments
    assert arguments == {"factor": 7, "reject_odd": True, "lexicon": ""}


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (
            ("duoble", "factor", "1"),
            InvalidPipelineError,
            "there is no step 'duoble'; did you mean 'double'? Steps: double.",
        ),
        (
            ("double", "fact", "1"),
            InvalidArgumentError,
            (
                "double: unknown argument 'fact'; did you mean 'factor'? Known: factor, "
                "reject_odd, lexicon, @consumes, @produces, @max_reject_share, "
                "@rows_per_partition, @workers, @cache, @retry, @cpu, @cpu_limit, @memory, "
                "@memory_limit, @shared_memory, @accelerator, @accelerators, @node_selector, "
                "@tolerations, @host_network, @retries, @backoff, @timeout."
            ),
        ),
        (
            ("double", "factor", "x"),
            InvalidArgumentError,
            "double: argument 'factor' must be of type int in JSON, not 'x'.",
        ),
    ],
)
def test_wrong_overrides(pipeline, setting, error, message):
    """An override that names nothing, or spells no value of the type, is refused."""
    pipeline.add(COMPONENTS / "double")
    with pytest.raises(error) as caught:
        pipeline.override(*setting)
    assert str(caught.value) == message


def test_paths_are_made_absolute(pipeline, tmp_path, monkeypatch):
    """A path argument that names something here is told to the step as an absolute path."""
    monkeypatch.chdir(tmp_path)
    Path("words.txt").touch()
    step = pipeline.add(COMPONENTS / "double", arguments={"lexicon": "words.txt"})
    assert step.arguments["lexicon"] == str(tmp_path / "words.txt")
    step = pipeline.add(COMPONENTS / "double", arguments={"lexicon": "user/model"})
    assert step.arguments["lexicon"] == "user/model"


@pytest.mark.parametrize(
    "module",
    [
        "pipeline",
        "runners",
        "dataset.lineage",
        "cli",
        "runners.local",
        "runners.docker",
        "runners.command_line",
    ],
)
def test_describing_needs_no_engine(module):
    """The describe side starts without Dask, pandas, torch or the Kubeflow SDK."""
    program = (
        f"import sys, fondant_spec.{module}; "
        "print({'dask', 'distributed', 'pandas', 'torch', 'kfp', 'tqdm'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
