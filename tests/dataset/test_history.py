"""The steps that a dataset went through."""

from pathlib import Path

from fondant_spec.dataset.history import steps_before
from tests.small import dataset


def test_all_steps_come_once_from_the_first_on(enter, tmp_path):
    """Where branches meet, what both were made from comes once, and before them."""
    source = dataset(tmp_path, number=[0, 1, 2])
    even, double = enter("keep_even", source), enter("double", source)
    found = steps_before([even.location, double.location])
    assert [step.step_id for step in found] == ["given", "keep_even", "double"]
    assert [(step.rows_in, step.rows) for step in found[1:]] == [(3, 2), (3, 3)]


def test_what_was_removed_is_left_out(enter, tmp_path):
    """A step whose input is gone is told without it."""
    source = dataset(tmp_path, number=[0, 1, 2])
    double = enter("double", source)
    Path(source.location).unlink()
    assert [step.step_id for step in steps_before([double.location])] == ["double"]
