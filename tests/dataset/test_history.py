"""The steps that a dataset went through."""

from dataclasses import replace
from pathlib import Path

import pytest

from fondant_spec.dataset import storage
from fondant_spec.dataset.history import history_of, steps_before
from fondant_spec.dataset.manifest import Input
from fondant_spec.errors import StorageError
from tests.small import dataset


def test_all_steps_come_once_from_the_first_on(enter, tmp_path):
    """Where branches meet, what both were made from comes once, and before them."""
    source = dataset(tmp_path, number=[0, 1, 2])
    even, double = enter("keep_even", source), enter("double", source)
    found = steps_before([even.location, double.location])
    assert [step.step_id for step in found] == ["given", "keep_even", "double"]
    assert [(step.rows_in, step.rows) for step in found[1:]] == [(3, 2), (3, 3)]


def test_what_was_removed_is_left_out(enter, tmp_path):
    """A step whose input is gone is told without it, and what is missing is said."""
    source = dataset(tmp_path, number=[0, 1, 2])
    double = enter("double", source)
    Path(source.location).unlink()
    assert [step.step_id for step in steps_before([double.location])] == ["double"]
    history = history_of(double)
    assert history.steps == (double,)
    assert list(history.missing) == [source.location]


def test_a_store_that_does_not_answer(enter, tmp_path, monkeypatch):
    """What may well be there is not taken for gone; who only tells of it goes on."""
    double = enter("double", dataset(tmp_path, number=[0, 1, 2]))

    def unanswered(_location: str) -> bool:
        msg = "no answer"
        raise StorageError(msg)

    monkeypatch.setattr(storage, "exists", unanswered)
    with pytest.raises(StorageError, match="no answer"):
        steps_before([double.location])
    assert history_of(double).steps == (double,)


def test_a_dataset_that_names_itself(tmp_path):
    """It comes once."""
    given = dataset(tmp_path, number=[0])
    odd = replace(given, inputs=(Input(given.location, given.digest),))
    odd.write()
    assert steps_before([odd.location]) == [odd]
