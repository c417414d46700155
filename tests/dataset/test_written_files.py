"""Whether a completed folder's files are still as they were written."""

import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from fondant_spec.dataset.committed import artifact_digests, committed_manifest
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.dataset.validate import validate
from fondant_spec.dataset.written_files import changed_files, files_below, in_words, listed_files
from tests.small import dataset


@pytest.fixture(autouse=True)
def _trusts_what_it_wrote(monkeypatch, tmp_path):
    """Let results be held against what they wrote outside of their base path."""
    monkeypatch.setenv(TRUSTED, str(tmp_path))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A folder of two files with a mark that lists them."""
    folder = tmp_path / "out [1]"
    (folder / "train").mkdir(parents=True)
    for name in ("a.txt", "train/b.txt"):
        (folder / name).write_text(name)
    files = {
        name: {
            "bytes": state.bytes,
            "sha256": sha256((folder / name).read_bytes()).hexdigest(),
            "stamp": state.stamp,
        }
        for name, state in files_below(str(folder)).items()
    }
    (folder / "export.json").write_text(json.dumps({"files": files}))
    return folder / "export.json"


def made(tmp_path: Path, mark: Path) -> Manifest:
    """Return a committed dataset that has the mark for an artifact."""
    artifacts = (str(mark),)
    digests = artifact_digests(artifacts)
    manifest = replace(dataset(tmp_path, number=[1]), artifacts=artifacts, artifact_sha256=digests)
    manifest.write()
    return manifest


def test_a_result_stands_while_the_files_of_its_folder_do(tmp_path, mark):
    """Removed, longer, or of the same length and time: none of it is a hit, all of it is told."""
    manifest, file = made(tmp_path, mark), mark.parent / "train" / "b.txt"
    before = file.stat()

    def told() -> list[str]:
        committed = committed_manifest(manifest.location, [])
        problems = validate(manifest)
        assert (committed is None) == bool(problems)
        return problems

    assert told() == []
    for problem, text in (("edited", "longer than it"), ("edited", "train/c.txt"), ("removed", "")):
        if text:
            file.write_text(text)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        else:
            file.unlink()
        told_of = f"{mark.parent}: is not what the step wrote: train/b.txt was {problem}. To keep "
        assert told() == [f"{told_of}it as it is, move it away before the step runs again."]
    file.write_text("train/b.txt")
    assert told() == []


def test_files_that_were_added_are_no_change(mark):
    """They are for whoever would replace the folder to ask for."""
    (mark.parent / "train" / "c.txt").write_text("mine")
    assert list(changed_files(str(mark))) == []


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"files": "0"}', '{"files": {"a": {}}}'])
def test_another_json_of_that_name_is_no_list(tmp_path, text):
    """It is held to its own content, as any artifact."""
    mark = tmp_path / "export.json"
    mark.write_text(text)
    assert listed_files(str(mark)) is None
    manifest = made(tmp_path, mark)
    assert committed_manifest(manifest.location, []) == manifest
    assert validate(manifest) == []


def test_a_few_are_named():
    """The rest is counted."""
    names = [f"{number} was edited" for number in range(5)]
    assert in_words([]) == ""
    assert in_words(names[:3]) == "0 was edited, 1 was edited, 2 was edited"
    assert in_words(names) == "0 was edited, 1 was edited, 2 was edited, and 2 more"
