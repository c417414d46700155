"""Parquet files whose footer lies: the pages are checked against it."""

import io
import random
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fondant_spec.dataset.parquet_bounds import check_unpacked
from fondant_spec.dataset.parquet_pages import CheckedFile, open_checked
from fondant_spec.errors import InputDataError
from tests.fuzzing import fuzz
from tests.peak_memory import peak_memory

_PLAIN = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
_RANDOM = random.Random(0).randbytes(60_000).hex()


def lying(path: Path, claimed: pa.Table, held: pa.Table, said: dict = _PLAIN, **options) -> Path:
    """Write a file of one column with the footer of one table and the pages of another."""
    bodies = []
    for table, how in ((claimed, said), (held, {**_PLAIN, **options})):
        file = io.BytesIO()
        pq.write_table(table, file, **how)
        data = file.getvalue()
        size = struct.unpack("<I", data[-8:-4])[0]
        bodies.append((data[: -8 - size], data[-8 - size :]))
    (pages, footer), (other, _) = bodies
    assert len(other) <= len(pages)
    path.write_bytes(other + pages[len(other) :] + footer)
    return path


def repeated(count: int, value: str) -> pa.DictionaryArray:
    """Return a column that says one value so many times."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))


ATTACKS = {
    "a text": ([_RANDOM], ["x" * (300 << 20)], {}, "pages that unpack to over 1"),
    "a column": ([_RANDOM] * 2, ["x" * (200 << 20)] * 2, {}, "pages that unpack to over 1"),
    "a dictionary": (
        [_RANDOM[:3000]] * 40,
        repeated(40, "x" * (20 << 20)),
        {"use_dictionary": True, "dictionary_pagesize_limit": 1 << 30},
        "pages that unpack to over 1",
    ),
    "a hidden dictionary": (
        [_RANDOM[:3000]] * 40,
        repeated(40, "x" * 1_000_000),
        {"use_dictionary": True, "dictionary_pagesize_limit": 1 << 30},
        "a dictionary, or a larger one",
    ),
    "prefixes": (
        [_RANDOM[:3000]] * 1000,
        ["x" * 900_000] * 1000,
        {"column_encoding": "DELTA_BYTE_ARRAY"},
        "values in another encoding",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_pages_that_the_footer_does_not_tell(tmp_path, attack):
    """They are refused before memory is taken for them, by whichever way the file is read."""
    claimed, held, options, told = ATTACKS[attack]
    tables = (pa.table({"text": column}) for column in (claimed, held))
    path = lying(tmp_path / "rows.parquet", *tables, **options)
    check_unpacked("rows", pq.read_metadata(path))  # which knows no better
    readers = (
        lambda file: file.read(columns=["text"]),
        lambda file: list(file.iter_batches(10)),
        lambda file: file.read_row_group(0),
    )
    for read in readers:
        for how in ({}, {"pre_buffer": False}, {"pre_buffer": False, "buffer_size": 1 << 16}):
            with (
                peak_memory() as peak,
                open_checked(path, "rows.parquet", **how) as file,
                pytest.raises(InputDataError, match=f"rows.parquet: the column text holds {told}"),
            ):
                read(file)
            assert peak.mb < 100


def test_a_damaged_page(tmp_path):
    """A header that is none is told as damage, with its place."""
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "rows.parquet", **_PLAIN)
    data = bytearray((tmp_path / "rows.parquet").read_bytes())
    data[4:8] = b"\xff" * 4
    (tmp_path / "rows.parquet").write_bytes(data)
    with (
        open_checked(tmp_path / "rows.parquet", "rows") as file,
        pytest.raises(OSError, match="there is no header of a page at byte 4"),
    ):
        file.read()


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_buffer_holds_what_is_left(tmp_path, kind):
    """However much is asked for, memory is taken for what the file has, from where it is read."""
    (tmp_path / "file").write_bytes(b"abcdef")
    with (tmp_path / "file").open("rb") if kind == "disk" else io.BytesIO(b"abcdef") as file:
        checked = CheckedFile(file, "file")
        assert checked.read_buffer(2).to_pybytes() == b"ab"
        checked.seek(4)
        assert checked.read_buffer(1 << 50).to_pybytes() == b"ef"
        assert checked.read_buffer(10).to_pybytes() == b""
        checked.seek(9)
        assert checked.read_buffer(10).to_pybytes() == b""


def test_a_table_without_rows(tmp_path):
    """It has a row group without pages."""
    table = pa.table({"text": pa.array([], pa.string())})
    with pq.ParquetWriter(tmp_path / "rows.parquet", table.schema) as writer:
        writer.write_table(table)
    with open_checked(tmp_path / "rows.parquet", "rows") as file:
        assert (file.num_row_groups, file.read()) == (1, table)


def test_more_values_than_the_footer_tells(tmp_path):
    """A row that holds a list without end is refused, too."""
    count = 20_000_000
    short = pa.ListArray.from_arrays([0, 20_000], pa.array(np.random.default_rng(0).random(20_000)))
    long = pa.ListArray.from_arrays([0, count], pa.array(np.zeros(count)))
    path = lying(
        tmp_path / "rows.parquet",
        pa.table({"numbers": short}),
        pa.table({"numbers": long}),
        use_dictionary=True,
        data_page_size=1 << 30,
    )
    with (
        peak_memory() as peak,
        open_checked(path, "rows") as file,
        pytest.raises(InputDataError, match="which the end of the file does not say"),
    ):
        file.read()
    assert peak.mb < 100


PAGES = io.BytesIO()
pq.write_table(pa.table({"text": ["a", "b", "a"] * 30, "n": range(90)}), PAGES, data_page_size=64)


@fuzz()
@given(st.integers(0, 1 << 32))
def test_whatever_pages_hold(seed):
    """Damaged headers and pages are read, or refused by a name."""
    data, chance = bytearray(PAGES.getvalue()), random.Random(seed)
    end = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    for _ in range(chance.choice([1, 2, 8])):
        data[chance.randrange(4, end)] = chance.randrange(256)
    with suppress(InputDataError, OSError, pa.ArrowException):
        open_checked(io.BytesIO(data), "rows").read()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("page", [64, 1 << 20])
def test_what_is_right_is_read(tmp_path, version, codec, page):
    """In all codings and page sizes, with nulls, lists, statistics and checksums."""
    chance = random.Random(1)
    numbers = [chance.randrange(5) for _ in range(3000)]
    table = pa.table(
        {
            "text": [None if n == 0 else f"text {n}" * n for n in numbers],
            "bytes": [chance.randbytes(100) for _ in numbers],
            "number": numbers,
            "sorted": list(range(3000)),
            "list": [[n] * n for n in numbers],
            "struct": [{"a": n, "b": str(n)} for n in numbers],
        }
    )
    pq.write_table(
        table,
        tmp_path / "rows.parquet",
        compression=codec,
        data_page_version=version,
        data_page_size=page,
        row_group_size=1000,
        write_page_checksum=True,
        use_dictionary=["text", "number"],
        column_encoding={"bytes": "DELTA_BYTE_ARRAY", "sorted": "DELTA_BINARY_PACKED"},
    )
    for how in ({}, {"pre_buffer": False, "buffer_size": 1000}):
        with open_checked(tmp_path / "rows.parquet", "rows", **how) as file:
            assert file.read().equals(table)
            assert file.read_row_group(2, columns=["list"]).num_rows == 1000
            assert pa.Table.from_batches(file.iter_batches(77)).equals(table)
