"""Reading and writing one partition: zipped or by position, never joined, batch by batch."""

from itertools import cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fondant_spec.dataset import partition_writer, partitions
from fondant_spec.dataset.manifest import Field
from fondant_spec.dataset.partition_writer import PartitionWriter, write_table
from fondant_spec.dataset.partitions import read_batches, read_ids
from fondant_spec.dataset.storage import sha256_of, sizes
from fondant_spec.errors import CardinalityError, InvalidDatasetError

NAME = "part-00000"


def put(folder, ids, **columns):
    """Write one partition, and return its location."""
    arrays = {"id": pa.array(ids, pa.string())}
    arrays |= {name: pa.array(values) for name, values in columns.items()}
    write_table(str(folder), NAME, pa.table(arrays))
    return str(folder)


def read(fields, index, **options):
    """Return the rows read from one partition; `fields` maps a name to (name, location)."""
    inputs = {key: Field(name, pa.int64(), place) for key, (name, place) in fields.items()}
    batches = list(read_batches(inputs, index, NAME, **options))
    return [row for batch in batches for row in batch.to_pylist()]


def test_equal_ids_are_zipped(tmp_path):
    """Fields of several steps come together, under the names that the component uses."""
    a = put(tmp_path / "a", ["x", "y"], n=[1, 2], unused=[0, 0])
    b = put(tmp_path / "b", ["x", "y"], n=[3, 4])
    assert read({"first": ("n", a), "second": ("n", b), "again": ("n", a)}, b) == [
        {"id": "x", "first": 1, "second": 3, "again": 1},
        {"id": "y", "first": 2, "second": 4, "again": 2},
    ]


def test_fewer_ids_are_taken_by_position(tmp_path):
    """After a filter, the fields of earlier steps give the rows that are left."""
    a = put(tmp_path / "a", ["a", "b", "c", "d"], n=[1, 2, 3, 4])
    b = put(tmp_path / "b", ["b", "d"])
    assert read({"n": ("n", a)}, b) == [{"id": "b", "n": 2}, {"id": "d", "n": 4}]


def test_branches_give_the_rows_they_share(tmp_path):
    """Where branches are joined, a row counts if every one of them has it."""
    root = put(tmp_path / "root", list("abcde"), n=[1, 2, 3, 4, 5])
    left = put(tmp_path / "left", list("abde"), l=[10, 20, 40, 50])
    right = put(tmp_path / "right", list("bce"), r=[200, 300, 500])
    fields = {"n": ("n", root), "l": ("l", left), "r": ("r", right)}
    assert read(fields, left, branches=[right]) == [
        {"id": "b", "n": 2, "l": 20, "r": 200},
        {"id": "e", "n": 5, "l": 50, "r": 500},
    ]


@given(
    total=st.integers(0, 60),
    keep=st.lists(st.sets(st.integers(0, 59)), min_size=1, max_size=3),
    batch_rows=st.integers(1, 70),
    group_rows=st.integers(1, 70),
)
def test_reading_equals_a_naive_join(tmp_path_factory, total, keep, batch_rows, group_rows):
    """Whatever was left out on the way, and however files are cut, rows read are those joined."""
    base = tmp_path_factory.mktemp("p")
    alive = list(range(total))
    fields, truth = {}, {}
    for step, kept in enumerate([set(range(total)), *keep]):
        alive = [n for n in alive if n in kept]
        table = pa.table(
            {
                "id": pa.array([f"{n:03d}" for n in alive], pa.string()),
                f"f{step}": pa.array([n * (step + 1) for n in alive], pa.int64()),
            },
        )
        place = base / str(step)
        place.mkdir()
        pq.write_table(table, place / f"{NAME}.parquet", row_group_size=group_rows)
        fields[f"f{step}"] = (f"f{step}", str(place))
        truth[f"f{step}"] = step + 1
    expected = [
        {"id": f"{n:03d}"} | {name: n * factor for name, factor in truth.items()} for n in alive
    ]
    assert read(fields, str(base / str(len(keep))), batch_rows=batch_rows) == expected


def test_other_files_are_not_opened(tmp_path):
    """A narrow field is read though the file with the images is gone."""
    images = put(tmp_path / "images", ["a", "b"], image=[b"1", b"2"])
    narrow = put(tmp_path / "narrow", ["a", "b"], n=[1, 2])
    (tmp_path / "images" / f"{NAME}.parquet").unlink()
    assert read({"n": ("n", narrow)}, narrow) == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    with pytest.raises(InvalidDatasetError):
        read({"image": ("image", images)}, narrow)


def test_batches_are_bounded_in_bytes(tmp_path):
    """A batch of large values holds few rows, one of small values many, and none over the bound."""
    images = [bytes([n % 256]) * 1_000_000 for n in range(40)]
    place = put(tmp_path / "large", [f"{n:02d}" for n in range(40)], image=images)
    inputs = {"image": Field("image", pa.binary(), place)}
    batches = list(read_batches(inputs, place, NAME))
    assert max(len(batch) for batch in batches) == partitions.BATCH_BYTES // 1_000_000
    assert sum(len(batch) for batch in batches) == 40
    ids = [f"{n:05d}" for n in range(10_000)]
    place = put(tmp_path / "small", ids, n=list(range(10_000)))
    inputs = {"n": Field("n", pa.int64(), place)}
    assert [len(b) for b in read_batches(inputs, place, NAME)] == [4096, 4096, 1808]
    assert {len(b) for b in read_batches(inputs, place, NAME, batch_rows=50)} == {50}


def test_row_groups_are_bounded(tmp_path):
    """A file is written in row groups that a reader can hold, in rows and in bytes."""
    schema = pa.schema([("id", pa.string()), ("image", pa.binary())])
    writer = PartitionWriter(str(tmp_path), "large", schema)
    for n in range(100):
        writer.write(pa.record_batch([[f"{n:03d}"], [bytes(1_000_000)]], schema=schema))
    writer.close()
    large = pq.ParquetFile(tmp_path / "large.parquet").metadata
    assert [large.row_group(n).num_rows for n in range(large.num_row_groups)] == [34, 34, 32]
    writer = PartitionWriter(str(tmp_path), "small", pa.schema([("id", pa.string())]))
    for n in range(70):
        ids = [f"{n:02d}{m:04d}" for m in range(1000)]
        writer.write(pa.record_batch([ids], names=["id"]))
    writer.close()
    small = pq.ParquetFile(tmp_path / "small.parquet").metadata
    assert [small.row_group(n).num_rows for n in range(small.num_row_groups)] == [65_536, 4_464]


LISTS = st.lists(st.one_of(st.none(), st.lists(st.floats(width=32), max_size=3)), min_size=40)


@settings(max_examples=8)
@given(LISTS, st.lists(st.integers(1, 9), min_size=1), st.integers(30, 300))
def test_bytes_depend_on_the_rows_alone(values, lengths, group):
    """However a component cuts its rows into batches, the file is the same, also in row groups."""
    columns = {
        "id": [f"{n:04d}" for n in range(len(values))],
        "vector": pa.array(values, pa.list_(pa.float32())),
        "text": [None if n % 3 else "x" * (n % 17) for n in range(len(values))],
        "pair": [{"a": n, "b": "y" * n} for n in range(len(values))],
    }
    table = pa.table(columns)
    files = []
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(partition_writer, "ROW_GROUP_BYTES", group)
        for name, cuts in (("whole", [len(table)]), ("cut", lengths)):
            writer = PartitionWriter(folder, name, table.schema)
            start = 0
            for length in cycle(cuts):
                for batch in table.slice(start, length).combine_chunks().to_batches():
                    writer.write(batch)
                start += length
                if start >= len(table):
                    break
            writer.close()
            files.append(Path(folder, f"{name}.parquet").read_bytes())
    assert files[0] == files[1]


def test_pages_depend_on_the_rows_alone(tmp_path):
    """A partition that is written row by row, as a retry does, has the bytes that it had."""
    ids = [f"{n:05d}" for n in range(3000)]
    table = pa.table({"id": ids, "text": [row_id * 200 for row_id in ids]})
    whole = write_table(str(tmp_path), "whole", table)
    writer = PartitionWriter(str(tmp_path), "rows", table.schema)
    for batch in table.to_batches(max_chunksize=1):
        writer.write(batch)
    assert writer.close().sha256 == whole.sha256


def test_a_partition_is_recorded(tmp_path):
    """Rows, bytes, hash and the range of ids are those of the file."""
    table = pa.table({"id": ["b", "a", "c"], "n": [1, 2, 3]})
    partition = write_table(str(tmp_path), NAME, table)
    file = tmp_path / f"{NAME}.parquet"
    assert (partition.name, partition.rows) == (NAME, 3)
    assert partition.bytes == file.stat().st_size
    assert partition.sha256 == sha256_of(str(file))
    assert (partition.first_id, partition.last_id) == ("a", "c")
    assert pq.read_table(file).equals(table)


def test_an_empty_partition(tmp_path):
    """No rows are a file with a schema and no rows."""
    schema = pa.schema([("id", pa.string()), ("v", pa.list_(pa.float32()))])
    partition = write_table(str(tmp_path), NAME, schema.empty_table())
    assert (partition.rows, partition.first_id, partition.last_id) == (0, None, None)
    assert pq.read_schema(tmp_path / f"{NAME}.parquet").equals(schema)
    assert read({"v": ("v", str(tmp_path))}, str(tmp_path)) == []
    assert len(read_ids(str(tmp_path), NAME)) == 0


@pytest.mark.parametrize(
    ("data_type", "values"),
    [
        (pa.list_(pa.float32(), 3), [[1, 2, 3], None, [4, 5, 6]]),
        (pa.list_(pa.struct([("box", pa.list_(pa.int32())), ("label", pa.string())])), [[], None]),
        (pa.struct([("a.b", pa.string()), ("c", pa.binary())]), [{"a.b": "x", "c": b"y"}, None]),
        (pa.decimal128(38), [10**37, None]),
        (pa.timestamp("us", tz="UTC"), [0, None]),
        (pa.float16(), [0.5, None]),
        (pa.duration("us"), [5, None]),
        (pa.null(), [None, None]),
        (pa.large_string(), ["x", None]),
        (pa.time32("s"), [3600, None]),
        (pa.date64(), [86_400_000, None]),
        (pa.list_(pa.struct([("day", pa.date64())])), [[{"day": 0}], None]),
    ],
)
def test_types_survive_a_file(tmp_path, data_type, values):
    """A column comes back as the type that it was written as, nulls included."""
    column = pa.array(values, data_type)
    ids = [str(n) for n in range(len(values))]
    write_table(str(tmp_path), NAME, pa.table({"id": ids, "a.b": column}))
    inputs = {"x": Field("a.b", data_type, str(tmp_path))}
    (batch,) = read_batches(inputs, str(tmp_path), NAME)
    assert batch.column("x").equals(column)
    assert batch.column("x").type == data_type


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "id 'a' comes 2 times; ids must be unique."),
        (["a", None], "a row has no id; give every row one."),
    ],
)
def test_bad_ids_are_refused_and_leave_nothing(tmp_path, ids, message):
    """A partition with a double or missing id is refused, and no file is left behind."""
    with pytest.raises(CardinalityError) as caught:
        put(tmp_path, ids)
    assert str(caught.value) == f"{tmp_path}/{NAME}.parquet: {message}"
    assert sizes(str(tmp_path)) == {}


def test_what_shrinks_is_compressed(tmp_path):
    """Texts and numbers are compressed, nested ones too; images and vectors are not."""
    row = {
        "image": b"x",
        "vector": [0.5],
        "texts": ["x"],
        "box": {"label": "x", "at": [{"x": 1}]},
        "score": 0.5,
    }
    write_table(str(tmp_path), NAME, pa.Table.from_pylist([{"id": "a"} | row]))
    group = pq.ParquetFile(tmp_path / f"{NAME}.parquet").metadata.row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    assert {c.path_in_schema: c.compression for c in columns} == {
        "id": "ZSTD",
        "image": "UNCOMPRESSED",
        "vector.list.element": "UNCOMPRESSED",
        "texts.list.element": "ZSTD",
        "box.label": "ZSTD",
        "box.at.list.element.x": "ZSTD",
        "score": "ZSTD",
    }


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    """What is not finished is not there, not even under another name."""
    writer = PartitionWriter(str(tmp_path), NAME, pa.schema([("id", pa.string())]))
    writer.write(pa.record_batch([["a"]], names=["id"]))
    writer.abort(RuntimeError())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "z"], "has no row 'z', which the index has; run the step again."),
        (["c", "a"], "its rows are in another order than the index; run the step again."),
    ],
)
def test_files_that_do_not_fit(tmp_path, ids, message):
    """A file without the rows of the index is refused rather than read askew."""
    a = put(tmp_path / "a", ["a", "b", "c"], n=[1, 2, 3])
    b = put(tmp_path / "b", ids)
    with pytest.raises(InvalidDatasetError) as caught:
        read({"n": ("n", a)}, b)
    assert str(caught.value) == f"{a}/{NAME}.parquet: {message}"


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a broken one, and one without the column are each told."""
    place = put(tmp_path, ["a"], n=[1])
    file = tmp_path / f"{NAME}.parquet"
    with pytest.raises(InvalidDatasetError) as caught:
        read({"m": ("m", place)}, place)
    assert str(caught.value) == f"{file}: has no column m; run the step that wrote it again."
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidDatasetError) as caught:
        read({"n": ("n", place)}, place)
    assert str(caught.value).startswith(f"{file}: is damaged (")
    file.unlink()
    with pytest.raises(InvalidDatasetError) as caught:
        read({"n": ("n", place)}, place)
    assert str(caught.value) == f"{file}: the file is missing; run the step that wrote it again."


def test_the_same_rows_give_the_same_bytes(tmp_path):
    """A file's bytes depend on its rows alone, not on the batches they came in."""
    table = pa.table({"id": [f"{n:04d}" for n in range(3000)], "n": list(range(3000))})
    hashes = set()
    for size in (1, 7, 3000):
        writer = PartitionWriter(str(tmp_path / str(size)), NAME, table.schema)
        for batch in table.to_batches(max_chunksize=size):
            writer.write(batch)
        hashes.add(writer.close().sha256)
    assert len(hashes) == 1


def test_rows_are_read_forward_only(tmp_path):
    """Batches of a filtered dataset follow one another, however sparse the rows."""
    ids = [f"{n:05d}" for n in range(9000)]
    a = put(tmp_path / "a", ids, n=list(range(9000)))
    b = put(tmp_path / "b", ids[::1001])
    numbers = [row["n"] for row in read({"n": ("n", a)}, b, batch_rows=2)]
    assert numbers == list(range(0, 9000, 1001))
    assert all(x < y for x, y in pairwise(numbers))


@pytest.mark.parametrize("column", ["id", "word"])
def test_damage_inside_a_file(tmp_path, column):
    """A page that does not decompress is told with the file's name, wherever it lies."""
    ids = [f"{n:04}" for n in range(500)]
    place = put(tmp_path, ids, word=[f"word number {n}" for n in range(500)])
    file = tmp_path / f"{NAME}.parquet"
    group = pq.ParquetFile(file).metadata.row_group(0)
    index = next(i for i in range(2) if group.column(i).path_in_schema == column)
    chunk = group.column(index)
    start = (chunk.dictionary_page_offset or chunk.data_page_offset) + 40
    content = bytearray(file.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    file.write_bytes(content)
    with pytest.raises(InvalidDatasetError) as caught:
        read({"word": ("word", place)}, place)
    assert str(caught.value).startswith(f"{file}: is damaged (")
    assert str(caught.value).endswith("; remove it, and run the step that wrote it again.")
