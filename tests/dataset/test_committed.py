"""Whether a finished result still stands, and whether it is good enough."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fondant_spec.dataset.committed import (
    artifact_digests,
    check_reject_share,
    committed_manifest,
)
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.errors import RejectThresholdError
from tests.small import dataset


@pytest.fixture(autouse=True)
def _trusts_what_it_wrote(monkeypatch, tmp_path):
    """Let results be held against what they wrote outside of their base path."""
    monkeypatch.setenv(TRUSTED, str(tmp_path))


def test_what_is_committed(tmp_path):
    """A manifest is a hit while its files are there in full size."""
    made = dataset(tmp_path, number=[1, 2])
    assert committed_manifest(made.location, []) == made
    assert committed_manifest(made.location, [made]) is None
    assert committed_manifest(f"{made.folder}/other.json", []) is None
    file = Path(made.data_location) / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert committed_manifest(made.location, []) is None
    Path(made.location).write_text("{", encoding="utf-8")
    assert committed_manifest(made.location, []) is None


def test_what_was_written_elsewhere_must_be_as_it_was(tmp_path):
    """A file that another run wrote over, or somebody changed, is no result of this step."""
    file, folder = tmp_path / "mark.json", tmp_path / "folder"
    file.write_text("first")
    folder.mkdir()
    artifacts = (str(file), str(folder))
    made = replace(
        dataset(tmp_path, number=[1]),
        artifacts=artifacts,
        artifact_sha256=artifact_digests(artifacts),
    )
    made.write()
    assert committed_manifest(made.location, []) == made
    file.write_text("other")
    assert committed_manifest(made.location, []) is None
    file.write_text("first")
    assert committed_manifest(made.location, []) == made
    folder.rmdir()
    assert committed_manifest(made.location, []) is None


def test_the_share_of_failures(tmp_path):
    """As many as allowed are; more are an error with the reasons."""
    made = replace(
        dataset(tmp_path, number=[1]), rows_in=4, failed=2, rejects={"bad": 2, "small": 1}
    )
    rejects = Rejects()
    rejects.add("a", "bad", "no picture: a.png")
    rejects.add("b", "bad", "no picture: b.png")
    rejects.filter("c", "small")
    Path(made.rejects_location).mkdir()
    pq.write_table(rejects.to_table(), f"{made.rejects_location}/part-00000.parquet")
    check_reject_share(made, 0.5)
    with pytest.raises(RejectThresholdError) as caught:
        check_reject_share(made, 0.49)
    assert str(caught.value) == (
        "given: 2 of 4 rows failed (50%), more than max_reject_share 49% allows. Reasons: bad 2. "
        "Such as bad: no picture: a.png\n"
        f"`fondant-spec show {made.folder} --rejects` lists the rows. Mend their cause, or allow a "
        "greater share with `--set given.@max_reject_share=1`, and run again."
    )
