"""Pieces: what a long-running partition keeps when it is interrupted."""

from pathlib import Path

import pytest

from fondant_spec.dataset.checkpoint import read_checkpoint
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.testing import read_rejects
from fondant_spec.worker import pieces
from fondant_spec.worker.component_code import component_class
from tests.small import COMPONENTS, dataset, rows


@pytest.fixture
def slow(monkeypatch, tmp_path, enter):
    """Return a function that stamps a partition of 12 rows, two at a time, each in a piece.

    It takes where the step breaks, and which model is there; rows 2 and 7 are refused.
    """
    monkeypatch.setattr(component_class(COMPONENTS / "stamp"), "batch_rows", 2)
    monkeypatch.setattr(pieces, "SECONDS", 0.0)
    files = {name: tmp_path / name for name in ("model", "log", "broken", "refused")}
    files["refused"].write_text("2 7")

    def stamp(
        base: str, broken: str = "", model: str = "A", words: tuple[str, ...] = ()
    ) -> Manifest:
        files["broken"].write_text(broken)
        files["model"].write_text(model)
        files["log"].write_text("")
        source = dataset(tmp_path / base, 12, number=list(range(12)))
        arguments = {name: str(path) for name, path in files.items()}
        return enter("stamp", source, base=tmp_path / base, words=words, **arguments)

    def begun() -> list[int]:
        return [int(line.split()[1]) for line in files["log"].read_text().split("\n")[:-2]]

    return stamp, begun


def content(made: Manifest) -> dict[str, bytes]:
    """Return the bytes of all data files and rejects."""
    files = [path for place in ("data", "rejects") for path in Path(made.folder, place).iterdir()]
    return {path.parent.name + path.name: path.read_bytes() for path in files}


def test_the_rest_of_a_partition(slow):
    """Only what was not settled is computed again, and the files are those of a whole run."""
    stamp, begun = slow
    whole = stamp("whole")
    for broken in ("4", "11"):
        with pytest.raises(RuntimeError, match=f"broken at {broken}"):
            stamp("resumed", broken)
    made = stamp("resumed")
    assert begun() == [10]
    assert content(made) == content(whole)
    assert made.partitions == whole.partitions
    assert (made.rejects, made.failed) == (whole.rejects, 2)
    assert read_rejects(made).column("id").to_pylist() == ["000000000002", "000000000007"]
    assert not Path(made.folder, "pieces").exists()


def test_pieces_of_another_model(slow):
    """Rows that another model made do not go under the name of the present one."""
    stamp, begun = slow
    with pytest.raises(RuntimeError, match="broken at 8"):
        stamp("moved", "8")
    made = stamp("moved", model="B")
    assert begun() == [8, 10, 0, 2, 4, 6, 8, 10]
    assert {row["by"] for row in rows(made)} == {"B"}


def test_a_piece_that_is_missing(slow, tmp_path):
    """What follows on a gap is not taken over."""
    stamp, begun = slow
    with pytest.raises(RuntimeError, match="broken at 8"):
        stamp("other", "8")
    for file in (tmp_path / "other").glob("pipeline/stamp/*/pieces/*/*0.arrow"):
        file.unlink()
    assert rows(stamp("other")) == rows(stamp("whole"))
    assert begun() == [0, 2, 4, 6, 8, 10]


def test_much_in_little_time(slow, monkeypatch, tmp_path):
    """A partition that gives more than memory should hold goes without pieces."""
    stamp, _ = slow
    monkeypatch.setattr(pieces, "MOST_BYTES", 0)
    with pytest.raises(RuntimeError, match="broken at 8"):
        stamp("large", "8")
    assert not list((tmp_path / "large").glob("pipeline/stamp/*/pieces"))


def test_much_in_much_time(slow, monkeypatch):
    """What fills the memory slowly is put aside before the half minute is over."""
    stamp, begun = slow
    monkeypatch.setattr(pieces, "SECONDS", 30.0)
    monkeypatch.setattr(pieces, "SOON", 0.0)
    monkeypatch.setattr(pieces, "MOST_BYTES", 100)
    with pytest.raises(RuntimeError, match="broken at 8"):
        stamp("large", "8")
    stamp("large")
    (first, *_) = begun()
    assert 0 < first <= 8


def test_failed_rows_in_pieces_are_tried_again(slow):
    """Another run that is to try them again takes over what lies before them, and no more."""
    stamp, begun = slow
    with pytest.raises(RuntimeError, match="broken at 4"):
        stamp("retried", "4", words=("--run_id", "run-1"))
    stamp("retried", words=("--run_id", "run-2", "--retry", '["all"]'))
    assert begun() == [2, 4, 6, 8, 10]


def test_what_was_done_before_counts_apart(slow, caplog):
    """A run that goes on says how much is done, and counts it towards no rate."""
    stamp, _ = slow
    caplog.set_level("INFO")
    with pytest.raises(RuntimeError, match="broken at 8"):
        stamp("counted", "8")
    made = stamp("counted")
    assert "stamp: part-00000 goes on: 8 rows done" in caplog.text
    done = read_checkpoint(f"{made.folder}/checkpoints/part-00000.json")
    assert (done.rows_in, done.work.before) == (12, 8)
