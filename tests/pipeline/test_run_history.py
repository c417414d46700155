"""What is told of a run that ended."""

from dataclasses import replace

import pytest

from fondant_spec.pipeline.run_history import StepResult, table
from tests.small import dataset


@pytest.mark.parametrize(
    ("rejects", "told"),
    [
        ({}, "-"),
        ({"gone": 1}, "gone 1"),
        ({"b": 2, "c": 1, "a": 1200}, "a 1,200, b 2, c 1"),
        ({"a": 9, "b": 8, "c": 7, "d": 2, "e": 1}, "a 9, b 8, c 7, +3 more"),
    ],
)
def test_rejects_in_the_table(tmp_path, rejects, told):
    """The three most frequent reasons are named, and the rows of the others counted."""
    manifest = replace(dataset(tmp_path, number=[1]), rejects=rejects, rows_in=3)
    result = StepResult("given", manifest, 12.34, cached=True)
    (line,) = table([result]).splitlines()[2:]
    assert line == f"given        3         1  {told.ljust(7)}     12.3  cached"
