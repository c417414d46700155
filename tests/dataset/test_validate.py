"""Checking a dataset against its manifest: every way in which files can contradict it."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.storage import sha256_of
from fondant_spec.dataset.validate import check, validate
from fondant_spec.errors import InvalidDatasetError
from fondant_spec.testing import write_dataset
from tests.small import dataset


@pytest.fixture
def made(enter, tmp_path):
    """Return a dataset of two steps, in two partitions."""
    return enter("double", dataset(tmp_path, 2, number=[1, 2, 3]))


def file_of(manifest: Manifest, number: int = 0) -> Path:
    """Return a partition's file of the step itself."""
    return Path(manifest.data_location) / f"part-0000{number}.parquet"


def rewritten(manifest: Manifest, table: pa.Table) -> Manifest:
    """Return a manifest that agrees with other content of the first partition but for its rows."""
    file = file_of(manifest)
    pq.write_table(table, file)
    first, *others = manifest.partitions
    first = replace(first, sha256=sha256_of(str(file)), bytes=file.stat().st_size)
    return replace(manifest, partitions=(first, *others))


def test_a_sound_dataset(made):
    """Nothing is found where nothing is wrong."""
    assert validate(made) == []
    check(made)


@pytest.mark.parametrize(
    "data_type", [pa.time32("s"), pa.date64(), pa.duration("us"), pa.list_(pa.time32("s"))]
)
def test_types_that_parquet_has_not(tmp_path, data_type):
    """What it holds them as is no mistake of the file."""
    made = write_dataset(pa.table({"x": pa.array([None, None], data_type)}), tmp_path)
    assert validate(made) == []


def test_a_missing_file(made):
    """A file that is gone is named."""
    file_of(made, 1).unlink()
    assert validate(made) == [f"{file_of(made, 1)}: the file is missing."]


def test_a_flipped_byte(made):
    """One other byte anywhere in a file is found."""
    file = file_of(made)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert validate(made) == [
        (
            f"{file}: its sha256 is {sha256_of(str(file))}, but the manifest says "
            f"{made.partitions[0].sha256}."
        )
    ]


def test_a_wrong_row_count(made):
    """A file with other rows than the manifest says is found."""
    table = pq.read_table(file_of(made)).slice(0, 1)
    assert validate(rewritten(made, table)) == [
        f"{file_of(made)}: has 1 rows, but the manifest says 2."
    ]


def test_a_double_id(made):
    """An id that comes twice is found, across files too."""
    table = pa.table({"id": ["000000000002", "000000000001"], "double": [0, 0]})
    assert validate(rewritten(made, table)) == [
        f'{made.data_location}: 1 ids come more than once, for example "000000000002".'
    ]


def test_a_row_without_an_id(made):
    """A row that lost its id is found."""
    table = pa.table({"id": ["000000000000", None], "double": [0, 0]})
    assert f"{made.data_location}: 1 rows have no id." in validate(rewritten(made, table))


def test_a_missing_field(made):
    """A field that the manifest names and the file lacks is found."""
    table = pq.read_table(file_of(made)).drop(["double"])
    assert validate(rewritten(made, table)) == [
        f"{file_of(made)}: has no field 'double', which the manifest names."
    ]


def test_a_field_of_another_type(made):
    """A field whose type is not the manifest's is found."""
    table = pq.read_table(file_of(made))
    table = table.set_column(1, "double", table.column("double").cast(pa.int32()))
    assert validate(rewritten(made, table)) == [
        f"{file_of(made)}: field 'double' is int32, but the manifest says int64."
    ]


def test_what_is_no_parquet(made):
    """A file that agrees in hash but is not Parquet is found, and does not end the check."""
    file = file_of(made)
    file.write_bytes(b"PAR1 not really")
    first, *others = made.partitions
    first = replace(first, sha256=sha256_of(str(file)))
    (problem,) = validate(replace(made, partitions=(first, *others)))
    assert problem.startswith(f"{file}: is damaged (")


def test_earlier_steps_are_checked(made):
    """A fault in the files of the step before is found: its fields are part of the dataset."""
    source = Manifest.read(made.inputs[0].location)
    file_of(source, 1).unlink()
    assert validate(made) == [f"{file_of(source, 1)}: the file is missing."]


def test_an_input_that_was_made_anew(made, tmp_path):
    """A dataset is not sound when the rows it grew from are no longer the same."""
    dataset(tmp_path, 2, number=[1, 2, 4])
    advice = "was made anew since this dataset was made from it; run the step again."
    assert validate(made) == [f"{made.inputs[0].location}: {advice}"]


def test_an_earlier_manifest_that_is_gone(made):
    """A field whose step has lost its manifest cannot be vouched for."""
    Path(made.inputs[0].location).write_text("[]", encoding="utf-8")
    (problem,) = validate(made)
    assert problem.startswith(f"{made.inputs[0].location}: not a manifest that can be read: ")


def test_all_problems_are_told(made):
    """The check goes on after the first fault, and the error has one line for each."""
    file_of(made, 0).unlink()
    file_of(made, 1).unlink()
    with pytest.raises(InvalidDatasetError) as caught:
        check(made)
    assert str(caught.value).splitlines() == [
        f"{file_of(made, number)}: the file is missing." for number in (0, 1)
    ]


def test_a_manifest_that_was_edited(made):
    """Rows that were added to the manifest by hand are found."""
    content = json.loads(Path(made.location).read_text(encoding="utf-8"))
    content["partitions"][1]["rows"] = 5
    Path(made.location).write_text(json.dumps(content), encoding="utf-8")
    edited = Manifest.read(made.location)
    assert validate(edited) == [f"{file_of(made, 1)}: has 1 rows, but the manifest says 5."]
