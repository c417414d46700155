"""Leaving out copies: by bytes, by perceptual hashes, by vectors, over all partitions."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import Result, run_component

FOLDER = Path(__file__).parents[1]
TYPES = {
    "embedding": pa.list_(pa.float32()),
    "image_width": pa.int32(),
    "image_height": pa.int32(),
    "similarity": pa.float32(),
    "border": pa.float32(),
}


def run(tmp_path: Path, columns: dict[str, list[object]], **arguments: object) -> Result:
    """Run the component over some columns, two rows a partition."""
    table = pa.table({name: pa.array(v, TYPES.get(name)) for name, v in columns.items()})
    return run_component(FOLDER, table, tmp_path, rows_per_partition=2, **arguments)


def kept(result: Result) -> list[int]:
    """Return the numbers of the rows that stay."""
    return [int(row_id) for row_id in result.table["id"].to_pylist()]


def told(result: Result) -> dict[int, tuple[int, str]]:
    """Return, by the rows that were left out as copies, which one stayed, and what tells it."""
    rows = result.rejects.to_pylist()
    assert {row["reason"] for row in rows} <= {"duplicate_of"}
    stayed = {int(row["id"]): row["message"].split(", by ") for row in rows}
    return {row: (int(kept_id), name) for row, (kept_id, name) in stayed.items()}


def turned(angle: float) -> list[float]:
    """Return a unit vector at an angle in degrees."""
    return [float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))]


def test_copies_by_their_bytes(tmp_path):
    """Of files that are equal the first stays, wherever they lie; no null is like another."""
    result = run(tmp_path, {"sha256": ["a", "b", None, "A", None, "a"]}, keep="first")
    assert kept(result) == [0, 1, 2, 4]
    assert told(result) == {3: (0, "sha256"), 5: (0, "sha256")}
    assert result.table["group_size"].to_pylist() == [3, 1, 1, 1]
    assert result.manifest.failed == 0


def test_copies_by_their_perceptual_hashes(tmp_path):
    """Up to so many bits of difference is a copy; one more is not."""
    base = 0xF0F0F0F0F0F0F0F0
    hashes = [f"{base ^ mask:016x}" for mask in (0, 0b111111, 0b1111111, 0)]
    result = run(tmp_path, {"phash": hashes}, keep="first", most_bits=6)
    assert kept(result) == [0, 2]
    assert kept(run(tmp_path, {"phash": hashes}, keep="first", most_bits=0)) == [0, 1, 2]


def test_a_frame_hides_no_copy(tmp_path):
    """What one image shows inside of its frame is compared with what others show in all."""
    columns = {"phash": ["0f" * 8, "f0" * 8, "3c" * 8], "inner_phash": ["f0" * 8, "aa" * 8, None]}
    assert told(run(tmp_path, columns, keep="first")) == {1: (0, "phash or inner_phash")}


def test_a_mirrored_copy_is_one(tmp_path):
    """And a picture that is its own mirror is a copy of nothing."""
    columns = {
        "phash": ["0f" * 8, "f0" * 8, "3c" * 8, "a5" * 8],
        "mirrored_phash": ["f0" * 8, "0f" * 8, "3c" * 8, None],
    }
    result = run(tmp_path, columns, keep="first")
    assert told(result) == {1: (0, "phash or mirrored_phash")}
    assert kept(result) == [0, 2, 3]
    assert result.table["group_size"].to_pylist() == [2, 1, 1]


def test_pictures_without_contrast_are_no_copies(tmp_path):
    """A white page and a black one have the same hash, which says nothing of them."""
    result = run(tmp_path, {"phash": ["8000000000000000", "8000000000000000"]}, keep="first")
    assert kept(result) == [0, 1]


def test_copies_by_their_vectors(tmp_path):
    """Vectors count by their direction; one row's null is compared with nothing."""
    vectors = [turned(0), None, [3 * x for x in turned(5)], turned(60)]
    result = run(tmp_path, {"embedding": vectors}, keep="first", least_cosine=0.99)
    assert kept(result) == [0, 1, 3]


def test_the_ends_of_a_chain_are_no_copies(tmp_path):
    """A is like B, and B like C; A stays, and C, which A is not like; the group is one."""
    vectors = [turned(angle) for angle in (0, 5, 10, 90)]
    result = run(tmp_path, {"embedding": vectors}, keep="first", least_cosine=0.99)
    assert kept(result) == [0, 2, 3]
    assert [int(one) for one in result.table["group_id"].to_pylist()] == [0, 0, 3]
    assert result.table["group_size"].to_pylist() == [3, 3, 1]


def test_all_that_is_alike_in_any_way_is_one_group(tmp_path):
    """Row 1 is like row 0 by its bytes, and row 2 like row 1 by its hash."""
    columns = {"sha256": ["a", "a", "b", "c"], "phash": [None, "f0" * 8, "f0" * 8, "0f" * 8]}
    result = run(tmp_path, columns, keep="first", drop_copies=False)
    assert kept(result) == [0, 1, 2, 3]
    assert [int(one) for one in result.table["group_id"].to_pylist()] == [0, 0, 0, 3]


@pytest.mark.parametrize(
    ("keep", "columns", "expected"),
    [
        ("largest", {"image_width": [9, 5, None], "image_height": [1, 5, 9]}, [1]),
        (
            "largest",
            {"image_width": [9, 11, 10], "image_height": [10] * 3, "border": [None, 0.2, 0.01]},
            [2],
        ),
        ("nearest_to_seed", {"similarity": [0.1, 0.2, 0.3]}, [2]),
        ("first", {}, [0]),
    ],
)
def test_which_one_stays(tmp_path, keep, columns, expected):
    """The best by the rule; of what is not known, none."""
    assert kept(run(tmp_path, {"sha256": ["a"] * 3, **columns}, keep=keep)) == expected


def test_values_that_are_none(tmp_path):
    """A hash or a vector of another length is a reject with its reason, once; a null is none."""
    columns = {
        "phash": ["f0" * 8, "f0" * 7, "zz" * 8, None],
        "embedding": [turned(0), [1.0, 2.0, 3.0], [float("nan"), 1.0], turned(60)],
    }
    table = {name: list(values) for name, values in columns.items()}
    result = run(tmp_path, table, keep="first", options={"max_reject_share": "1.0"})
    assert kept(result) == [0, 3]
    assert [row["reason"] for row in result.rejects.to_pylist()] == ["bad_hash", "bad_hash"]
    only = run(
        tmp_path,
        {"embedding": table["embedding"]},
        keep="first",
        options={"max_reject_share": "1.0"},
    )
    assert [row["reason"] for row in only.rejects.to_pylist()] == [
        "wrong_dimension",
        "bad_embedding",
    ]


@pytest.mark.parametrize(
    ("columns", "arguments", "error", "message"),
    [
        (
            {"image_width": [1]},
            {},
            InputDataError,
            "no field sha256 or phash or inner_phash or mirrored_phash or embedding",
        ),
        ({"sha256": ["a"]}, {"compare": ["phash"]}, InputDataError, "no field phash"),
        ({"sha256": ["a"]}, {"compare": ["pash"]}, InvalidArgumentError, "did you mean 'phash'"),
        ({"sha256": ["a"]}, {"keep": "sharpest"}, InputDataError, "needs the field blur"),
    ],
)
def test_what_it_cannot_do(tmp_path, columns, arguments, error, message):
    """Without a field to compare or to choose by, nothing is left out in silence."""
    with pytest.raises(error, match=message):
        run(tmp_path, columns, **arguments)


def test_a_dataset_without_rows(tmp_path):
    """Nothing in, nothing out."""
    result = run(tmp_path, {"sha256": pa.array([], pa.string())}, keep="first")
    assert len(result.table) == 0


def test_an_odd_vector_is_odd_wherever_it_stands(tmp_path):
    """The dimension is that of most rows, not that of the first."""
    vectors = [[1.0, 2.0, 3.0], turned(0), turned(0), turned(90), None]
    result = run(tmp_path, {"embedding": vectors}, keep="first", options={"max_reject_share": "1"})
    assert kept(result) == [1, 3, 4]
    assert result.rejects["reason"].to_pylist() == ["wrong_dimension", "duplicate_of"]
    assert result.rejects["message"][0].as_py() == "3 dimensions instead of 2"


def test_the_dimension_that_the_maker_of_vectors_says(tmp_path):
    """It counts for more than what most rows have."""
    result = run(
        tmp_path,
        {"embedding": [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], turned(0)]},
        keep="first",
        metadata={"embedding": {"dimension": 2}},
        options={"max_reject_share": "1"},
    )
    assert kept(result) == [2]
    assert result.rejects["reason"].to_pylist() == ["wrong_dimension"] * 2
