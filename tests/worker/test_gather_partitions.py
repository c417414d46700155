"""Components that see the whole dataset at once, and keep its rows and partitions."""

import pyarrow as pa
import pytest

from fondant_spec.dataset.validate import validate
from fondant_spec.errors import CardinalityError, InvalidComponentSpecError
from fondant_spec.spec.executor_options import SPEC_FILE
from fondant_spec.testing import read_rejects, run_component
from tests.small import COMPONENTS, dataset, rows


def test_rows_are_compared_over_all_partitions(enter):
    """Those that stay lie in the partitions that they came in, beside their earlier fields."""
    source = enter("numbers", rows=9, words=["--rows_per_partition", "2"])
    made = enter("one_of_each", source)
    assert [(p.name, p.rows) for p in made.partitions] == [
        (p.name, rows) for p, rows in zip(source.partitions, [2, 1, 0, 0, 0], strict=True)
    ]
    assert [(row["number"], row["alike"], row["word"]) for row in rows(made)] == [
        (n, 3, f"number {n}") for n in range(3)
    ]
    assert (made.rows_in, made.rejects, made.failed) == (9, {"alike": 6}, 0)
    assert made.fields["word"].location == source.data_location
    assert validate(made) == []


def test_rejects_lie_with_their_partition(enter):
    """A row that is left out is told where it was."""
    source = enter("numbers", rows=5, words=["--rows_per_partition", "2"])
    told = read_rejects(enter("one_of_each", source, divisor=2)).to_pylist()
    assert [(row["id"][-1], row["message"][-1]) for row in told] == [
        ("2", "0"),
        ("3", "1"),
        ("4", "0"),
    ]
    assert len({row["id"] for row in told}) == 3


def test_a_later_step_reads_on(enter):
    """What was gathered is a dataset like any other: of no rows, too."""
    source = enter("one_of_each", enter("numbers", rows=7, words=["--rows_per_partition", "3"]))
    assert [row["number"] for row in rows(enter("keep_even", source))] == [0, 2]
    again = enter("one_of_each", enter("keep_even", source, base=None), divisor=1)
    assert [row["alike"] for row in rows(again)] == [2]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stranger", "returned row 'nobody', which it was not given"),
        ("swapped", "out of order"),
        ("reject_stranger", "rejected id 'nobody', which it was not given"),
        ("both", "both returned and rejected"),
    ],
)
def test_broken_promises(enter, fault, message):
    """A row that is new, out of order, or in two places is refused, and named."""
    source = enter("numbers", rows=7, words=["--rows_per_partition", "2"])
    with pytest.raises(CardinalityError, match=message):
        enter("one_of_each", source, fault=fault)


def test_a_slice_of_it_waits_for_the_commit(enter):
    """One of several tasks side by side cannot see all rows, so the whole is done at the end."""
    source = enter("numbers", rows=7, words=["--rows_per_partition", "2"])
    assert enter("one_of_each", source, words=["--slice", "0/2"]) is None
    assert enter("one_of_each", source).rows == 3


@pytest.mark.parametrize("base", ["GatherComponent", "StreamTransformComponent"])
def test_a_class_that_does_not_fit_its_spec(tmp_path, base):
    """Which of the two ways to look at all rows is meant is told by the spec's cardinality."""
    explodes = base == "GatherComponent"
    spec = COMPONENTS / ("first_of_each" if explodes else "one_of_each") / SPEC_FILE
    main = f"""
from fondant_spec.component import {base}
from fondant_spec.executor import execute
class Own({base}):
    gathers = {not explodes}
    def gather(self, batches, context): return batches
    def transform_batches(self, batches, context): return batches
"""
    (tmp_path / "own" / "src").mkdir(parents=True)
    (tmp_path / "own" / "src" / "main.py").write_text(main)
    (tmp_path / "own" / SPEC_FILE).write_text(spec.read_text())
    with pytest.raises(InvalidComponentSpecError, match="GatherComponent"):
        run_component(tmp_path / "own", pa.table({"number": [1]}), tmp_path)


def test_fields_that_an_argument_mentions_are_consumed(enter, tmp_path):
    """Beside those declared: scalar ones alone, by whole words, whatever the letters' case."""
    source = dataset(tmp_path, number=[1, 2], Score=[1.0, 2.0], sco=[1, 2], image=[b"", b""])
    about = enter("one_of_each", source, order="-score, image").fields["alike"].metadata
    assert about == {
        "consumed": ["Score", "number"],
        "there": ["Score", "image", "number", "sco"],
    }
