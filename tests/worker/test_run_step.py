"""Running a component through its argument vector: every kind, every lost row, every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import (
    CardinalityError,
    InputDataError,
    InvalidArgumentError,
    InvalidDatasetError,
    InvalidPipelineError,
    RejectThresholdError,
)
from fondant_spec.testing import read_rejects, read_table, run_component
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import execute, run
from tests.small import COMPONENTS, command, dataset, rows


def test_a_load(enter):
    """Rows are numbered as they come, and cut into partitions whatever the batches were."""
    made = enter("numbers", rows=25, words=["--rows_per_partition", "10"])
    assert [(p.name, p.rows) for p in made.partitions] == [
        ("part-00000", 10),
        ("part-00001", 10),
        ("part-00002", 5),
    ]
    assert [row["id"] for row in rows(made)] == [f"{n:012d}" for n in range(25)]
    assert [row["number"] for row in rows(made)] == list(range(25))
    assert (made.rows_in, made.rejects, validate(made)) == (25, {}, [])


def test_a_load_tells_what_it_skips(enter):
    """Rows that a source cannot give are rejects, also those after the last good one."""
    made = enter("numbers", rows=12, skip=[3, 10, 11], words=["--rows_per_partition", "4"])
    assert (made.rows_in, made.rows, made.rejects, made.failed) == (12, 9, {"skipped": 3}, 3)
    assert read_rejects(made).column("id").to_pylist() == [f"{n:012d}" for n in (3, 10, 11)]


def test_a_load_that_gives_only_rejects(enter):
    """A source of which nothing can be used gives no rows, and tells why."""
    with pytest.raises(RejectThresholdError, match="2 of 2 rows failed"):
        enter("numbers", rows=2, skip=[0, 1])
    made = enter("numbers", rows=2, skip=[0, 1], words=["--max_reject_share", "1"])
    assert (made.rows, made.rejects, len(made.partitions)) == (0, {"skipped": 2}, 1)


def test_a_step_that_maps(enter):
    """Each row comes out or is told; earlier fields stay where they are."""
    made = enter("numbers", rows=10, words=["--rows_per_partition", "4"])
    doubled = enter("double", made, reject_odd=True)
    assert [p.name for p in doubled.partitions] == [p.name for p in made.partitions]
    assert [(row["number"], row["double"], row["word"]) for row in rows(doubled)] == [
        (n, 2 * n, f"number {n}") for n in range(0, 10, 2)
    ]
    assert (doubled.rows_in, doubled.rows, doubled.rejects) == (10, 5, {"odd": 5})
    assert doubled.fields["double"].metadata == {"factor": 2}
    assert doubled.fields["word"].location == made.data_location
    assert read_rejects(doubled).to_pylist()[0] == {
        "id": "000000000001",
        "reason": "odd",
        "message": "1 is odd",
        "attempts": 3,
        "filtered": False,
    }


def test_a_step_that_filters(enter):
    """Rows that are left out without a word are recorded as filtered, and are no failures."""
    kept = enter("keep_even", enter("numbers", rows=5))
    assert [row["number"] for row in rows(kept)] == [0, 2, 4]
    assert (kept.rejects, kept.failed) == ({"filtered": 2}, 0)
    assert read_rejects(kept).column("filtered").to_pylist() == [True, True]


def test_a_step_that_explodes(enter, tmp_path):
    """New ids continue the parent's, and a row that gave nothing is told."""
    made = enter("repeat", dataset(tmp_path, number=[2, 0, 1], other=["a", "b", "c"]))
    assert rows(made) == [
        {"id": "000000000000-00000", "turn": 0, "seed_id": "000000000000"},
        {"id": "000000000000-00001", "turn": 1, "seed_id": "000000000000"},
        {"id": "000000000002-00000", "turn": 0, "seed_id": "000000000002"},
    ]
    assert (made.parent_field, made.rejects, made.rows_in) == ("seed_id", {"no_rows": 1}, 3)


def test_many_rows_are_cut_between_parents(enter, tmp_path):
    """A step that explodes writes as many files as its rows need, and those of a row to one."""
    source = dataset(tmp_path, number=[2, 2, 7, 1])
    made = enter("repeat", source, words=["--rows_per_partition", "3"])
    assert [(p.name, p.rows) for p in made.partitions] == [
        ("part-00000-00000", 4),
        ("part-00000-00001", 7),
        ("part-00000-00002", 1),
    ]
    assert validate(made) == []


def test_a_step_that_gathers(enter):
    """Once all partitions are through, rows are compared across them; nothing staged is left."""
    source = enter("numbers", rows=9, words=["--rows_per_partition", "2"])
    made = enter("first_of_each", source)
    assert [row["remainder"] for row in rows(made)] == [0, 1, 2]
    assert (made.rows_in, made.rejects, made.failed) == (9, {"duplicate": 6}, 0)
    assert sorted(path.name for path in Path(made.folder).iterdir()) == [
        "checkpoints",
        "data",
        "leases",
        "manifest.json",
        "rejects",
    ]


def test_a_step_that_writes(enter):
    """The rows go out, the dataset stays as it was, and the step is done while its files exist."""
    source = enter("double", enter("numbers", rows=5, words=["--rows_per_partition", "2"]))
    words = ["--consumes", '{"twice": "double", "word": "word"}']
    made = enter("write_lines", source, words=words)
    lines = Path(made.artifacts[0]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["twice"] for line in lines] == [0, 2, 4, 6, 8]
    assert (made.fields, made.partitions) == (source.fields, source.partitions)
    Path(made.artifacts[0]).unlink()
    assert validate(made) == [f"{made.artifacts[0]}: what the step wrote is no longer there."]
    assert Path(enter("write_lines", source, words=words).artifacts[0]).exists()


def test_what_a_step_keeps_for_itself(enter):
    """It is there in the next try, and gone once the step is done."""
    source = enter("numbers", rows=5)
    words = ["--consumes", '{"number": "number"}']
    with pytest.raises(InputDataError, match="the first try fails"):
        enter("counts_tries", source, words=words)
    made = enter("counts_tries", source, words=words)
    assert Path(made.artifacts[0]).read_text(encoding="utf-8") == "2"
    assert not (Path(made.folder) / "unfinished").exists()


def test_a_step_that_writes_joined_branches(enter):
    """It passes on the rows that all branches have, with the fields of all of them."""
    source = enter("numbers", rows=8, words=["--rows_per_partition", "3"])
    even = enter("keep_even", source)
    doubled = enter("double", source, reject_odd=False)
    inputs = json.dumps([doubled.location, even.location])
    words = ["--consumes", '{"twice": "double"}', "--input_manifest_path", inputs]
    made = enter("write_lines", words=words)
    lines = Path(made.artifacts[0]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["twice"] for line in lines] == [0, 4, 8, 12]
    assert [(row["number"], row["double"]) for row in rows(made)] == [
        (0, 0),
        (2, 4),
        (4, 8),
        (6, 12),
    ]
    assert validate(made) == []


def test_fields_that_the_step_asks_for(enter, tmp_path):
    """A step renames what is produced, and the next reads it under its new name."""
    made = enter("double", dataset(tmp_path, number=[1]), words=["--produces", '{"double": "two"}'])
    again = enter("double", made, words=["--consumes", '{"number": "two"}'])
    assert [(row["two"], row["double"]) for row in rows(again)] == [(2, 4)]


def test_branches_are_joined(enter):
    """Two branches that each lost other rows give the rows that both have."""
    source = enter("numbers", rows=8, words=["--rows_per_partition", "3"])
    even = enter("keep_even", source)
    doubled = enter("double", source)
    words = ["--produces", '{"double": "fourfold"}', "--consumes", '{"number": "double"}']
    inputs = json.dumps([doubled.location, even.location])
    made = enter("double", words=[*words, "--input_manifest_path", inputs])
    assert [(row["number"], row["fourfold"]) for row in rows(made)] == [
        (0, 0),
        (2, 8),
        (4, 16),
        (6, 24),
    ]
    assert (made.rows_in, validate(made)) == (4, [])


@pytest.mark.parametrize("number", [[], [None], [None, 1]])
def test_no_rows_and_null_cells(enter, tmp_path, number):
    """An empty dataset goes through every kind of step; a null cell is a reject."""
    source = dataset(tmp_path, number=number)
    made = enter("double", source, words=["--max_reject_share", "1"])
    assert made.rows == sum(n is not None for n in number)
    assert made.rejects == ({"no_number": 1} if None in number else {})
    assert [f.type for f in made.own_fields] == [pa.int64()]


def test_an_empty_dataset_goes_all_the_way(enter):
    """Steps of every kind run on no rows, and on partitions that a filter emptied."""
    empty = enter("numbers", rows=0)
    assert (empty.rows, len(empty.partitions)) == (0, 1)
    for name in ("keep_even", "repeat", "first_of_each", "double"):
        made = enter(name, empty)
        assert (made.rows, validate(made)) == (0, [])
    ones = enter("numbers", rows=2, skip=[0], words=["--rows_per_partition", "1"])
    emptied = enter("keep_even", ones)
    assert (emptied.rows, enter("double", emptied).rows) == (0, 0)
    assert Path(enter("write_lines", emptied).artifacts[0]).read_text(encoding="utf-8") == ""


MISTAKES = {
    "lose": "the component lost row '000000000000'; return or reject each row.",
    "invent": "the component returned id 'new', which it was not given.",
    "twice": "the component returned rows twice or out of order; keep the order.",
    "reorder": "the component returned rows twice or out of order; keep the order.",
    "both": "row '000000000000' was both returned and rejected; do one of them.",
    "reject_twice": "the component rejected row '000000000000' more than once.",
    "reject_stranger": "the component rejected id 'stranger', which it was not given.",
    "no_id": "the component returned no column 'id'; keep the ids it was given.",
    "null_id": "the component returned id None, which it was not given.",
    "missing": "the component returned no column 'out'; see its spec.",
    "extra": (
        "the component returned 'more', which its spec does not produce; declare the field or "
        "leave it out."
    ),
}


@pytest.mark.parametrize(("how", "message"), MISTAKES.items())
def test_broken_contracts(enter, tmp_path, how, message):
    """A component that breaks the contract of rows is stopped, and nothing is committed."""
    source = dataset(tmp_path, number=[1, 2, 3])
    with pytest.raises(CardinalityError) as caught:
        enter("misbehave", source, how=how)
    assert str(caught.value) == f"misbehave: {message}"
    assert not list(tmp_path.glob("pipeline/misbehave/*/manifest.json"))
    assert not list(tmp_path.glob("pipeline/misbehave/*/data/*"))


def test_a_value_of_another_type(enter, tmp_path):
    """A column that cannot be cast to its declared type is told with both types."""
    with pytest.raises(CardinalityError) as caught:
        enter("misbehave", dataset(tmp_path, number=[1]), how="wrong_type")
    assert str(caught.value).startswith(
        "misbehave: field 'out' should be int64, not string: Failed to parse string: 'many'"
    )


def test_types_that_change_on_the_way(enter, tmp_path):
    """Columns that come in one type and then another are written as the declared one."""
    made = enter("misbehave", dataset(tmp_path, 1, number=[1, 2, 3]), how="mixed")
    assert made.fields["out"].type == pa.int64()
    assert validate(made) == []


def test_a_parent_that_nobody_knows(enter, tmp_path):
    """A row that names a parent which was not given has no lineage, and is refused."""
    with pytest.raises(CardinalityError) as caught:
        enter("repeat", dataset(tmp_path, number=[1]), stranger=True)
    assert str(caught.value) == (
        "repeat: the component returned a row of parent 'nobody', which it was not given."
    )


@pytest.mark.parametrize(
    ("rows_per_partition", "message"),
    [
        ("9", "part-00000.parquet: id 'same' comes 3 times; ids must be unique."),
        ("1", "numbers: id 'same' comes 3 times; ids must be unique over the whole dataset."),
    ],
)
def test_double_ids(enter, tmp_path, rows_per_partition, message):
    """An id that comes twice is refused, in one partition and across several."""
    words = ["--rows_per_partition", rows_per_partition]
    with pytest.raises(CardinalityError) as caught:
        enter("numbers", rows=3, own_ids=True, words=words)
    assert str(caught.value).endswith(message)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("manifest.json"))


def test_too_many_rejects(enter, tmp_path):
    """Above the threshold a step fails with its reasons, and commits nothing."""
    source = dataset(tmp_path, number=[1, 3, 5, 6])
    with pytest.raises(RejectThresholdError) as caught:
        enter("double", source, reject_odd=True)
    (folder,) = tmp_path.glob("pipeline/double/*")
    assert str(caught.value) == (
        "double: 3 of 4 rows failed (75%), more than max_reject_share 50% allows. Reasons: odd 3. "
        "Such as odd: 1 is odd\n"
        f"`fondant-spec show {folder} --rejects` lists the rows. Mend their cause, or allow a "
        "greater share with `--set double.@max_reject_share=1`, and run again."
    )
    assert not (folder / "manifest.json").exists()
    assert len(pq.read_table(folder / "rejects")) == 3
    allowed = enter("double", source, reject_odd=True, words=["--max_reject_share", "0.75"])
    assert allowed.rows == 1


def test_the_second_run_is_a_hit(enter, tmp_path, caplog):
    """The same step on the same input is done already, and writes nothing."""
    caplog.set_level("INFO")
    source = dataset(tmp_path, number=[1, 2])
    made = enter("double", source)
    file = Path(made.data_location) / "part-00000.parquet"
    before = file.stat().st_mtime_ns
    assert enter("double", source) == made
    assert f"double: already done, 2 rows at {made.folder}" in caplog.messages
    assert file.stat().st_mtime_ns == before


def test_memory_as_a_base_path(enter, tmp_path):
    """Every kind of step runs on a file system that is no folder."""
    base = f"memory://{tmp_path}"
    source = enter("numbers", base=base, rows=9, words=["--rows_per_partition", "2"])
    for name in ("double", "keep_even", "first_of_each"):
        made = enter(name, source, base=base)
        assert made.location.startswith(base)
        assert (enter(name, source, base=base), validate(made)) == (made, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["", "local://"])
def test_a_run_as_a_program(tmp_path, scheme):
    """A component is a program: it exits with 0 and leaves its manifest where it was told to."""
    output = tmp_path / "out" / "path"
    base = f"{scheme}{tmp_path}/base"
    words = ("--output_manifest_path", str(output))
    done = subprocess.run(
        command("numbers", base, *words), capture_output=True, text=True, check=True
    )
    assert "INFO numbers: 10 rows at " in done.stderr
    assert Manifest.read(output.read_text(encoding="utf-8")).rows == 10
    again = subprocess.run(
        command("numbers", base, *words), capture_output=True, text=True, check=True
    )
    assert "INFO numbers: already done, 10 rows at " in again.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--rwos", "3"],
            2,
            "numbers: unknown argument 'rwos'; did you mean 'rows'? Known: rows, ",
        ),
        (
            ["--rows", "many"],
            2,
            "numbers: argument 'rows' must be of type int in JSON, not 'many'.",
        ),
        (["rows"], 2, "expected an argument name such as --batch_size, found 'rows'."),
        (["--workers", "0"], 2, "numbers: argument 'workers' must be at least 1, not 0."),
        (
            ["--slice", "2/2"],
            2,
            "numbers: slice must be i/n with 0 <= i < n, such as 0/4, not '2/2'.",
        ),
        (["--step_id", "n2", "--rows"], 2, "argument 'rows' has no value."),
        (["--base_path", "/proc/no"], 1, "BASE_PATH /proc/no is not writable ("),
    ],
)
def test_exit_codes(tmp_path, capsys, words, code, message):
    """Wrong usage exits with 2, what else the user can fix with 1, neither with a traceback."""
    base = [] if "--base_path" in words else ["--base_path", str(tmp_path)]
    with pytest.raises(SystemExit) as caught:
        execute(component_class(COMPONENTS / "numbers"), [*base, *words])
    assert caught.value.code == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert len(error.splitlines()) == 1


def test_a_defect_shows_itself(tmp_path):
    """A defect of a component keeps its traceback."""
    source = dataset(tmp_path, number=[1])
    words = ("--input_manifest_path", source.location, "--workers", "1")
    start = command("misbehave", tmp_path, *words, how="crash")
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last):" in done.stderr
    assert done.stderr.count("ZeroDivisionError: a defect of the component at 000000000000") == 1
    assert "raise ZeroDivisionError(msg)" in done.stderr
    assert "fondant_spec/worker" not in done.stderr, "an author's frames are what counts"


def test_no_base_path():
    """Without a base path nothing can be written."""
    with pytest.raises(InvalidArgumentError, match=r"^numbers: missing argument 'base_path'"):
        run(component_class(COMPONENTS / "numbers"), [])


def test_no_input(enter):
    """A component that consumes fields needs a dataset."""
    with pytest.raises(InvalidPipelineError) as caught:
        enter("double")
    assert str(caught.value) == (
        "double: the component consumes fields; say which step it comes `after` (for the executor, "
        "--input_manifest_path)."
    )


def test_a_missing_column(enter, tmp_path):
    """A dataset without the field that is consumed is refused with the fields it has."""
    with pytest.raises(InvalidPipelineError) as caught:
        enter("double", dataset(tmp_path, numbre=[1]))
    assert str(caught.value) == (
        "double: there is no field 'number' at this point; did you mean 'numbre'? "
        "Fields here: numbre."
    )


def test_an_input_whose_files_are_gone(enter, tmp_path):
    """An input that lost a file is an error that names it."""
    source = dataset(tmp_path, number=[1])
    file = Path(source.data_location) / "part-00000.parquet"
    file.unlink()
    with pytest.raises(InvalidDatasetError) as caught:
        enter("double", source)
    assert str(caught.value) == f"{file}: the file is missing; run the step that wrote it again."


def test_run_component(tmp_path):
    """The helper for component authors runs the real thing and reads back what it made."""
    table = pa.table({"number": [1, None]})
    result = run_component(COMPONENTS / "double", table, tmp_path, factor=3)
    assert result.table.to_pylist() == [{"id": "000000000000", "double": 3}]
    assert result.rejects.column("reason").to_pylist() == ["no_number"]


STEPS = st.lists(
    st.sampled_from(["double", "keep_even", "repeat", "flip_double", "reject_odd"]),
    max_size=4,
)


@settings(max_examples=25)
@given(steps=STEPS, numbers=st.lists(st.integers(0, 5), max_size=12), size=st.integers(1, 5))
def test_every_field_in_a_manifest_is_on_disk(tmp_path_factory, steps, numbers, size):
    """After any steps, each field that the manifest names is where it says, for every row.

    A model of plain Python rows runs alongside, and agrees in the end.
    """
    base = tmp_path_factory.mktemp("evolve")
    made = dataset(base, size, number=numbers)
    truth = [{"number": n} for n in numbers]
    for position, step in enumerate(steps):
        argv = ["--base_path", str(base), "--workers", "1", "--step_id", f"s{position}"]
        argv += ["--input_manifest_path", made.location, "--max_reject_share", "1"]
        if step == "repeat":
            truth = [{"turn": t} for row in truth for t in range(row["number"])]
            argv += ["--produces", '{"turn": "number"}']
            truth = [{"number": row["turn"]} for row in truth]
        elif step == "keep_even":
            truth = [row for row in truth if row["number"] % 2 == 0]
        elif step == "flip_double":
            truth = [row | {"number": row["number"] * 2} for row in truth]
            argv += ["--produces", '{"double": "number"}']
        elif step == "reject_odd":
            truth = [row | {"odd": row["number"] * 2} for row in truth if row["number"] % 2 == 0]
            argv += ["--produces", '{"double": "odd"}', "--reject_odd", "true"]
        else:
            truth = [row | {"double": row["number"] * 2} for row in truth]
        name = {"flip_double": "double", "reject_odd": "double"}.get(step, step)
        rows_before = made.rows
        made = run(component_class(COMPONENTS / name), argv)
        if name != "repeat":
            assert rows_before == made.rows + sum(made.rejects.values())
        assert validate(made) == []
    found = [{k: v for k, v in row.items() if k not in ("id", "seed_id")} for row in rows(made)]
    assert found == truth
    assert {f.location for f in made.own_fields} <= {made.data_location}
    assert set(read_table(made).column_names) == {"id", *(f.name for f in made.own_fields)}


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help(word):
    """A component says which arguments it takes, and ends well."""
    done = subprocess.run(
        [sys.executable, str(COMPONENTS / "double" / "src" / "main.py"), word],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--factor" in done.stdout
    assert "--rows_per_partition" in done.stdout
