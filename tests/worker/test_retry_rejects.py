"""Retrying a finished step's failed rows, without repeating the others."""

from pathlib import Path

import pytest

from fondant_spec.dataset.validate import validate
from fondant_spec.errors import RejectThresholdError
from fondant_spec.testing import read_rejects
from tests.small import dataset, rows

ALL = ["--retry", '["all"]']
LENIENT = ["--max_reject_share", "1.0"]


@pytest.fixture
def doors(tmp_path):
    """Return functions that open doors, and that tell which ones were knocked at since."""
    open_file, log = tmp_path / "open", tmp_path / "log"

    def set_open(*numbers):
        open_file.write_text(" ".join(map(str, numbers)), encoding="utf-8")

    def knocked():
        numbers = [int(word) for word in log.read_text(encoding="utf-8").split()]
        log.unlink()
        return numbers

    return set_open, knocked, {"open": str(open_file), "log": str(log)}


def answers(manifest):
    """Return the answers, row by row."""
    return [row["answer"] for row in rows(manifest)]


def test_only_failed_rows_are_tried_again(enter, doors, tmp_path):
    """The rows that came out stay as they are, and the new ones take their place among them."""
    set_open, knocked, arguments = doors
    source = dataset(tmp_path, 4, number=list(range(8)))
    set_open(0, 3, 4, 5, 6, 7)
    first = enter("knock", source, words=LENIENT, **arguments)
    before = answers(first)
    knocked()
    set_open(1)
    again = enter("knock", source, words=[*LENIENT, *ALL], **arguments)

    assert before == [0, 30, 40, 50, 60, 70]
    assert knocked() == [1, 2]
    assert answers(again) == [0, 10, 30, 40, 50, 60, 70]
    assert again.rejects == {"closed": 1}
    assert again.rows_in == 8
    assert read_rejects(again).to_pylist() == [
        {
            "id": "000000000002",
            "reason": "closed",
            "message": "nobody opened",
            "attempts": 2,
            "filtered": False,
        },
    ]
    assert validate(again) == []


def test_reasons_choose_what_is_tried_again(enter, doors, tmp_path):
    """With reasons, rows that failed for others are left alone."""
    set_open, knocked, arguments = doors
    source = dataset(tmp_path, 4, number=list(range(4)))
    set_open()
    enter("knock", source, words=LENIENT, **arguments)
    knocked()
    set_open(0, 1, 2, 3)
    again = enter("knock", source, words=[*LENIENT, "--retry", '["odd_door"]'], **arguments)

    assert knocked() == [1, 3]
    assert answers(again) == [10, 30]
    assert again.rejects == {"closed": 2}


def test_a_retry_that_changes_nothing_keeps_what_follows(enter, doors, tmp_path):
    """If the same rows fail again the content is the same, and later steps are still hits."""
    set_open, _, arguments = doors
    source = dataset(tmp_path, 4, number=list(range(4)))
    set_open(0, 1)
    first = enter("knock", source, words=LENIENT, **arguments)
    again = enter("knock", source, words=[*LENIENT, *ALL], **arguments)

    assert again.digest == first.digest


def test_later_steps_do_only_the_partitions_that_changed(enter, doors, tmp_path, caplog):
    """After a retry a later step does the partitions with new rows, and keeps the others."""
    caplog.set_level("INFO")
    set_open, _, arguments = doors
    source = dataset(tmp_path, 2, number=list(range(8)))
    set_open(0, 1, 2, 4, 5, 6, 7)
    first = enter("knock", source, words=LENIENT, **arguments)
    enter("double", first)
    set_open(3)
    again = enter("knock", source, words=[*LENIENT, *ALL], **arguments)
    later = enter("double", again)

    assert "double goes on: 6 rows done, in 3 of 4 partitions" in caplog.text
    assert later.rows == 8
    assert validate(later) == []


def test_a_retry_with_nothing_failed_changes_nothing(enter, doors, tmp_path):
    """A step without failures is committed once more as it is."""
    set_open, knocked, arguments = doors
    source = dataset(tmp_path, 4, number=[0, 1])
    set_open(0, 1)
    first = enter("knock", source, **arguments)
    knocked()
    again = enter("knock", source, words=ALL, **arguments)

    assert again.partitions == first.partitions
    with pytest.raises(FileNotFoundError):
        knocked()


def test_what_an_interrupted_retry_left(enter, doors, tmp_path):
    """Files of a retry that was stopped do not make a finished partition look broken."""
    set_open, knocked, arguments = doors
    source = dataset(tmp_path, 2, number=list(range(4)))
    set_open(0, 1, 2)
    first = enter("knock", source, words=LENIENT, **arguments)
    knocked()
    staged = Path(first.folder) / "staged"
    staged.mkdir()
    for name in ("part-00000.parquet", "part-00001.parquet"):
        (staged / name).write_bytes(b"PAR1 half")
    set_open(0, 1, 2, 3)
    again = enter("knock", source, words=[*LENIENT, *ALL], **arguments)

    assert knocked() == [3]
    assert answers(again) == [0, 10, 20, 30]
    assert not staged.exists()


def test_slices_retry_and_the_commit_does_not(enter, doors, tmp_path):
    """What the slices of a run tried once more, its commit takes as it is."""
    set_open, knocked, arguments = doors
    source = dataset(tmp_path, 2, number=list(range(4)))
    set_open(0, 2)
    enter("knock", source, words=LENIENT, **arguments)
    set_open(0, 1, 2)
    knocked()
    run = [*LENIENT, *ALL, "--run_id", "run-2"]
    for n in range(2):
        enter("knock", source, words=[*run, "--slice", f"{n}/2"], **arguments)
    assert knocked() == [1, 3]
    made = enter("knock", source, words=run, **arguments)

    assert not Path(arguments["log"]).exists()
    assert answers(made) == [0, 10, 20]
    assert made.rejects == {"odd_door": 1}
    assert read_rejects(made).column("attempts").to_pylist() == [2]


def test_a_hit_must_be_good_enough(enter, doors, tmp_path):
    """Asked for fewer failures, a finished result is refused, and stays for who takes it."""
    set_open, knocked, arguments = doors
    source = dataset(tmp_path, 4, number=list(range(4)))
    set_open(0)
    first = enter("knock", source, words=LENIENT, **arguments)
    knocked()
    with pytest.raises(RejectThresholdError, match=r"^knock: 3 of 4 rows failed \(75%\)"):
        enter("knock", source, words=["--max_reject_share", "0.5"], **arguments)
    assert enter("knock", source, words=LENIENT, **arguments) == first
    assert not Path(arguments["log"]).exists()


def test_a_retry_by_another_model(enter, tmp_path):
    """Where the model moved since, it makes all rows, not only those that failed."""
    source = dataset(tmp_path, 4, number=list(range(4)))
    model, refused = tmp_path / "model", tmp_path / "refused"
    arguments = {"model": str(model), "refused": str(refused)}
    model.write_text("A")
    refused.write_text("1")
    first = enter("stamp", source, **arguments)
    assert (first.rows, first.rejects) == (3, {"refused": 1})
    model.write_text("B")
    refused.write_text("")
    again = enter("stamp", source, words=ALL, **arguments)
    assert again.fields["stamped"].metadata == {"model": "B"}
    assert [row["by"] for row in rows(again)] == ["B"] * 4
