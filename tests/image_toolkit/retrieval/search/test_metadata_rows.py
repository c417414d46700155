"""Rows by number from many files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.metadata_rows import Rows


def write_parts(folder: Path, suffix: str) -> list[Path]:
    """Three files of 10, 0 and 25 rows; the last has a column more."""
    files = []
    for number, (start, rows) in enumerate([(0, 10), (10, 0), (10, 25)]):
        table = pa.table({"n": pa.array(range(start, start + rows), pa.int64())})
        if number == 2:
            table = table.append_column("extra", pa.array([f"x{i}" for i in range(rows)]))
        file = folder / f"part_{number}.{suffix}"
        if suffix == "parquet":
            pq.write_table(table, file, row_group_size=4)
        else:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=4)
        files.append(file)
    return files


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_rows_come_in_the_order_asked_for(tmp_path: Path, suffix: str) -> None:
    """Rows are found across files and row groups, in any order, repeated as often as asked."""
    rows = Rows(write_parts(tmp_path, suffix))
    wanted = [34, 0, 10, 9, 0, 33, 4]

    found = rows.take(np.array(wanted), ["n", "extra"])

    assert len(rows) == 35
    assert found["n"].to_pylist() == wanted
    assert found["extra"].to_pylist() == ["x24", None, "x0", None, None, "x23", None]


def test_no_rows_are_an_empty_table(tmp_path: Path) -> None:
    """Taking nothing gives a table with the columns' types."""
    found = Rows(write_parts(tmp_path, "parquet")).take(np.empty(0, np.int64), ["n"])

    assert found.schema == pa.schema([("n", pa.int64())])
    assert len(found) == 0


def test_row_groups_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look at the same rows does not go to the file again, while memory allows."""
    rows = Rows(write_parts(tmp_path, "parquet"))
    first = rows.take(np.array([0, 20]), ["n"])
    monkeypatch.setattr(pq, "ParquetFile", None)

    assert rows.take(np.array([20, 0]), ["n"])["n"].to_pylist() == [20, 0]
    assert first["n"].to_pylist() == [0, 20]


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups are let go of when they would take more than the cache may."""
    monkeypatch.setattr("image_toolkit.retrieval.search.metadata_rows._CACHE_BYTES", 100)
    rows = Rows(write_parts(tmp_path, "parquet"))

    found = rows.take(np.arange(35), ["n"])

    assert found["n"].to_pylist() == list(range(35))
    assert sum(table.nbytes for table in rows._cache.values()) <= 100


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A file that is not what its name says is reported, not a traceback."""
    broken = tmp_path / "metadata_0.parquet"
    broken.write_text("<html>404</html>")

    with pytest.raises(InputDataError, match=r"metadata_0.parquet: is no parquet file"):
        Rows([broken])


def test_files_that_differ_in_types(tmp_path: Path) -> None:
    """A column that is numbers here and texts there is refused in a sentence."""
    for number, values in enumerate([[1], ["a"]]):
        pq.write_table(pa.table({"a": values}), tmp_path / f"{number}.parquet")

    with pytest.raises(InputDataError, match="differ in the types of their columns"):
        Rows(sorted(tmp_path.iterdir()))
