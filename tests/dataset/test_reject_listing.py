"""Which rows a step gave up on, and why, through the command line."""

import json
import re
import shlex

import pytest

from fondant_spec.cli import main
from fondant_spec.dataset.reject_listing import count_reasons, reject_line
from fondant_spec.errors import RejectThresholdError
from tests.small import dataset


def told(capsys) -> list[str]:
    """Return what was printed below the line that says which step's rows these are."""
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("step      ")
    return lines


def odd(enter, tmp_path, count: int, share: str = "1", **columns: object):
    """Return the doubles of the even of some numbers, and thus the odd ones as rejects."""
    made = dataset(tmp_path, 4, number=list(range(count)), **columns)
    return enter("double", made, reject_odd=True, words=["--max_reject_share", share])


def test_rejects_are_listed(enter, tmp_path, capsys):
    """The first twenty with reason, attempts and message, and how many more there are."""
    made = odd(enter, tmp_path, 50)
    assert main(["show", made.folder, "--rejects"]) == 0
    head, first, *others, last = told(capsys)
    assert head == "double: 25 failed (odd 25)"
    assert first == "000000000001  odd  3 attempts  1 is odd"
    assert (len(others), last) == (19, "and 5 more; --all lists them")
    assert main(["show", made.folder, "--rejects", "odd", "--all"]) == 0
    lines = told(capsys)
    assert lines[1:] == [
        f"{number:012d}  odd  3 attempts  {number} is odd" for number in range(1, 50, 2)
    ]


def test_no_rejects(tmp_path, capsys):
    """A step that gave up on nothing says so."""
    assert main(["show", dataset(tmp_path, number=[1]).folder, "--rejects"]) == 0
    assert told(capsys) == ["given: no rejects"]


def test_a_reason_that_no_reject_has(enter, tmp_path, capsys):
    """It is refused with those there are."""
    assert main(["show", odd(enter, tmp_path, 3).folder, "--rejects", "od"]) == 2
    assert capsys.readouterr().err == (
        "error: double: no reject has the reason 'od'; did you mean 'odd'? Rejects: odd 1.\n"
    )


def test_a_step_that_failed(enter, tmp_path, capsys):
    """Its rejects are listed though it has no result, as the error that it ended with says."""
    with pytest.raises(RejectThresholdError) as caught:
        odd(enter, tmp_path, 50, share="0.4")
    command = re.search("`fondant-spec (.*?)` lists", str(caught.value))
    assert command
    assert main(shlex.split(command[1])) == 0
    head, first, *_, last = capsys.readouterr().out.splitlines()
    assert head == "double: 25 failed (odd 25)"
    assert first == "000000000001  odd  3 attempts  1 is odd"
    assert last == "and 5 more; --all lists them"


@pytest.mark.parametrize("field", ["file_name", "image_url"])
def test_names(enter, tmp_path, capsys, field):
    """Where a field has a row's file name or URL, the reject is told by it."""
    others = {"image_url": [f"http://h/{n}" for n in range(6)]}
    made = odd(enter, tmp_path, 6, **others | {field: [f"{n}.jpg" for n in range(6)]})
    main(["show", made.folder, "--rejects"])
    assert told(capsys)[1:] == [
        f"{n:012d}  odd  3 attempts  {n}.jpg  {n} is odd" for n in (1, 3, 5)
    ]


def test_where_a_rejected_row_ended(enter, tmp_path, capsys):
    """A later step knows in which one before it a row ended, why, and where it came from."""
    doubled = odd(enter, tmp_path, 4)
    last = enter("waits", doubled)
    expected = [
        "double: given up: 000000000003  odd  3 attempts  3 is odd",
        "given: 000000000003",
        "  number: 3",
    ]
    for made in (doubled, last):
        assert main(["show", made.folder, "--id", "000000000003"]) == 0
        assert told(capsys) == expected


def test_where_a_row_was_left_out(enter, tmp_path, capsys):
    """A row that a filter left out is told apart from one that failed."""
    kept = enter("keep_even", dataset(tmp_path, number=[1, 2]))
    assert main(["show", kept.folder, "--id", "000000000000"]) == 0
    assert told(capsys)[0] == "keep_even: left out: 000000000000  filtered"
    counts = count_reasons(kept.rejects_location)
    assert (counts.failed, counts.filtered) == ({}, {"filtered": 1})
    assert counts.describe() == "1 filtered (filtered 1)"


def test_a_row_of_new_ids(enter, tmp_path, capsys):
    """A reject among rows that a step made is told with the row that they were made of."""
    many = enter("repeat", dataset(tmp_path, number=[0, 3]))
    kept = enter("keep_even", many, words=["--consumes", '{"number": "turn"}'])
    assert main(["show", kept.folder, "--id", "000000000001-00001"]) == 0
    assert told(capsys) == [
        "keep_even: left out: 000000000001-00001  filtered",
        "repeat: 000000000001-00001",
        "  turn: 1",
        "  seed_id: 000000000001",
        "given: 000000000001",
        "  number: 3",
    ]


def test_a_reject_of_one_of_several_starts(enter, tmp_path, capsys):
    """Where a step reads one dataset after the other, the number before an id says of which."""
    one = dataset(tmp_path / "one", number=[1, 2])
    two = dataset(tmp_path / "two", number=[3, 4])
    paths = json.dumps([one.location, two.location])
    many = enter("repeat", words=["--input_manifest_path", paths])
    kept = enter("keep_even", many, words=["--consumes", '{"number": "turn"}'])
    assert main(["show", kept.folder, "--id", "1-000000000000-00001"]) == 0
    lines = told(capsys)
    assert lines[0] == "keep_even: left out: 1-000000000000-00001  filtered"
    assert lines[-1] == "  number: 3"


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"message": None, "attempts": None}, "7  gone"),
        ({"message": "a\nb", "attempts": 1}, "7  gone  a b"),
        ({"message": "x" * 101, "attempts": 2}, f"7  gone  2 attempts  {'x' * 100}..."),
    ],
)
def test_a_line(row, line):
    """A line is one line, and no longer than a person reads."""
    assert reject_line({"id": "7", "reason": "gone", **row}) == line


def test_a_long_message_is_told_to_its_end(monkeypatch, enter, tmp_path, capsys):
    """What to do stands last: it is there for one row, and where all are listed."""
    monkeypatch.setattr("fondant_spec.dataset.reject_listing._LONGEST", 3)
    made = odd(enter, tmp_path, 2)
    line = "000000000001  odd  3 attempts  1 is odd"
    assert main(["show", made.folder, "--rejects"]) == 0
    assert told(capsys)[1:] == ["000000000001  odd  3 attempts  1 i..."]
    assert main(["show", made.folder, "--rejects", "--all"]) == 0
    assert told(capsys)[1:] == [line]
    assert main(["show", made.folder, "--id", "000000000001"]) == 0
    assert told(capsys)[0] == f"double: given up: {line}"


def test_no_folder(tmp_path):
    """A step without rejects has no folder of them."""
    counts = count_reasons(str(tmp_path / "none"))
    assert (counts.failed, counts.filtered, counts.describe()) == ({}, {}, "")
