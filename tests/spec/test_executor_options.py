"""The executor's own options: declared once, written to and read from an argument vector."""

import math

import pytest

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.spec.executor_options import (
    EXECUTOR_ARGUMENTS,
    STEP_OPTIONS,
    ExecutorOptions,
    check_step_options,
)


def options(**words):
    """Return the options of these words."""
    return ExecutorOptions.from_words({"base_path": "/b", **words}, "component")


def test_only_the_base_path_must_be_given():
    """All others have a default; the step is called like its component."""
    assert [name for name, one in EXECUTOR_ARGUMENTS.items() if one.required] == ["base_path"]
    assert options().step_id == "component"
    assert options(step_id="other").step_id == "other"
    assert options().inputs == ()
    assert options().slice_of is None
    assert set(STEP_OPTIONS) <= EXECUTOR_ARGUMENTS.keys()


def test_inputs():
    """One location is a word as it is, several are a list in JSON."""
    assert options(input_manifest_path="/a b/m.json").inputs == ("/a b/m.json",)
    assert options(input_manifest_path='["/a", "/b"]').inputs == ("/a", "/b")
    with pytest.raises(InvalidArgumentError, match="must be a path, or a list of paths in JSON"):
        _ = options(input_manifest_path="[/a").inputs


@pytest.mark.parametrize("name", ["pipeline_name", "step_id", "run_id", "spec_file"])
@pytest.mark.parametrize("word", ["../other", "/etc", "a/b", ".."])
def test_names_of_folders_lead_nowhere(name, word):
    """What becomes a folder below the base path is one name, not a path."""
    if (name, word) != ("spec_file", ".."):
        with pytest.raises(InvalidArgumentError, match=f"argument '{name}' must be a text of the"):
            options(**{name: word})


@pytest.mark.parametrize("word", ["4/4", "5/4", "1", "1/", "/4", "-1/4", "a/b", "1/4/5"])
def test_malformed_slices(word):
    """A slice is i/n, with i below n."""
    with pytest.raises(InvalidArgumentError, match=r"slice must be i/n with 0 <= i < n"):
        _ = options(slice=word).slice_of


def test_a_slice():
    """It is read as two numbers."""
    assert options(slice="3/4").slice_of == (3, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 0}, "s: argument 'workers' must be at least 1, not 0."),
        ({"rows_per_partition": 0}, "s: argument 'rows_per_partition' must be at least 1, not 0."),
        (
            {"rows_per_partition": "9"},
            "s: argument 'rows_per_partition' must be of type int, not '9' (str).",
        ),
        ({"max_reject_share": 1.5}, "s: argument 'max_reject_share' must be from 0 to 1, not 1.5."),
        (
            {"max_reject_share": math.nan},
            "s: argument 'max_reject_share' must have finite numbers only, not nan.",
        ),
    ],
)
def test_limits_of_the_executors_numbers(values, message):
    """Numbers that would hang or disable the executor are refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_step_options(values, "s")
    assert str(caught.value) == message
