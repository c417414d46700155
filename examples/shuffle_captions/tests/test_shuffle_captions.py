"""The example that shuffles captions, run through its command line."""

from pathlib import Path

import pyarrow as pa

from fondant_spec.testing import run_component

COMPONENT = Path(__file__).parents[1]
CAPTIONS = [f"caption {number}" for number in range(12)]


def shuffled(folder: Path, rows_per_partition: int = 5, **arguments: int) -> list[str]:
    """Return what each of twelve rows was dealt."""
    table = pa.table({"caption": CAPTIONS})
    done = run_component(
        COMPONENT, table, folder, rows_per_partition=rows_per_partition, **arguments
    )
    assert done.table["id"].to_pylist() == sorted(done.table["id"].to_pylist())
    return done.table["shuffled_caption"].to_pylist()


def test_each_caption_comes_once_and_elsewhere(tmp_path):
    """The same for a seed, however the rows are cut; another for another seed."""
    dealt = shuffled(tmp_path / "a")
    assert sorted(dealt) == sorted(CAPTIONS)
    assert sum(mine != theirs for mine, theirs in zip(dealt, CAPTIONS, strict=True)) > 8
    assert shuffled(tmp_path / "b", rows_per_partition=12) == dealt
    assert shuffled(tmp_path / "c", seed=1) != dealt
