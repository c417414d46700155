"""Collecting what no run refers to."""

from pathlib import Path

import pytest

from fondant_spec.dataset.validate import validate
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.pipeline.garbage_collection import collect
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from tests.small import COMPONENTS, run_here


def plan(base: Path, run_id: str, factor: int) -> Plan:
    """Return the plan of two steps."""
    pipeline = Pipeline("small", base)
    numbers = pipeline.add(COMPONENTS / "numbers")
    options = {"arguments": {"factor": factor}, "workers": 1}
    pipeline.add(COMPONENTS / "double", after=numbers, **options)
    return pipeline.plan(run_id)


def test_what_runs_refer_to_is_kept(tmp_path):
    """Results of any run stay; of old runs, they go when the runs are forgotten."""
    numbers, old = (made.folder for made in run_here(plan(tmp_path, "run-1", 2)))
    _, new = run_here(plan(tmp_path, "run-2", 3))
    stray = tmp_path / "small" / "double" / "0123456789abcdef"
    (stray / "data").mkdir(parents=True)
    assert collect(str(tmp_path), "small") == [str(stray)]
    assert stray.exists()
    assert collect(str(tmp_path), "small", delete=True) == [str(stray)]
    assert not stray.exists()
    expected = [old, str(tmp_path / "small" / "runs" / "run-1")]
    assert collect(str(tmp_path), "small", keep_runs=1, delete=True) == expected
    assert not any(Path(folder).exists() for folder in expected)
    assert Path(numbers).exists()
    assert list(plan(tmp_path, "run-3", 3).committed()) == ["numbers", "double"]
    assert validate(new) == []
    assert collect(str(tmp_path), "small") == []


def test_nothing_there(tmp_path):
    """A base path or pipeline that does not exist has no garbage."""
    assert collect(str(tmp_path), "small") == []


def test_no_fewer_than_no_runs(tmp_path):
    """A negative number of runs is refused, since it would remove everything."""
    run_here(plan(tmp_path, "run-1", 2))
    with pytest.raises(InvalidArgumentError) as caught:
        collect(str(tmp_path), "small", keep_runs=-1, delete=True)
    assert str(caught.value) == "keep_runs must be 0 or more, not -1."
    assert (tmp_path / "small" / "numbers").exists()


def test_runs_from_elsewhere_are_known(enter, tmp_path):
    """A run without a record here, such as one on Kubeflow, keeps what its steps noted."""
    made = enter("numbers", words=["--pipeline_name", "small", "--run_id", "from-elsewhere"])
    assert collect(str(tmp_path), "small", keep_runs=0, delete=True) == []
    assert validate(made) == []
