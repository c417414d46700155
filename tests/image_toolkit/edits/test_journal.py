"""Edits are stored as lines below the base path, each file by one writer."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidDatasetError
from image_toolkit.edits.edit import Edit, new_id, now
from image_toolkit.edits.journal import Journal, edits_folder, edits_version

WRITER = """
import sys
from image_toolkit.edits.edit import Edit, now
from image_toolkit.edits.journal import Journal
journal = Journal(sys.argv[1])
for number in range(100_000):
    image = f"{sys.argv[2]}-{number}"
    journal.add([Edit(image, now(), "anna", image, "caption", "x" * (1 + number % 700))])
    print(number, flush=True)
"""


def edit(value="a cat", image="i1", after=(), field="caption", at=None, by="anna"):
    """Return an edit, made now if no time is given."""
    return Edit(new_id(), at or now(), by, image, field, value, tuple(after))


def test_what_is_added_is_read_again(tmp_path):
    """Another reader finds all that a caption may hold: ends of lines, quotes, any signs."""
    texts = ['two\nlines\r\n"quoted"', "\u202eright to left\u2028", "😀 é \x00", "x" * 10_000]
    journal = Journal(str(tmp_path))
    for text in texts:
        journal.add([edit(text)])
    assert [one.value for one in Journal(str(tmp_path)).edits()] == texts


def test_a_reader_sees_what_others_add(tmp_path):
    """Two writers have a file each; a third finds the edits of both, also those added later."""
    first, second, reader = (Journal(str(tmp_path)) for _ in range(3))
    first.add([edit("one")])
    assert [one.value for one in reader.edits()] == ["one"]
    second.add([edit("two")])
    first.add([edit("three"), edit("four")])
    assert sorted(one.value for one in reader.edits()) == ["four", "one", "three", "two"]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_version_changes_with_every_edit(tmp_path):
    """It is empty before the first edit, and never the same twice."""
    folder = edits_folder(str(tmp_path))
    versions = [edits_version(folder)]
    for _ in range(3):
        Journal(folder).add([edit()])
        versions.append(edits_version(folder))
    assert versions[0] == ""
    assert len(set(versions)) == 4


def test_a_full_file_is_left_alone(tmp_path):
    """After 200 edits a new file is begun, so that one more edit never takes long to write."""
    journal = Journal(str(tmp_path))
    journal.add([edit(str(number)) for number in range(199)])
    journal.add([edit()])
    journal.add([edit()])
    counts = sorted(len(file.read_text().splitlines()) for file in tmp_path.iterdir())
    assert counts == [1, 200]
    journal.add([edit(str(number)) for number in range(500)])
    assert len(journal.edits()) == 701


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Expecting"),
        ("[]", "no JSON object"),
        ('{"id": "1"}', "at must be a text"),
        (json.dumps(vars(edit()) | {"value": 3}), "a caption must be a text"),
        (json.dumps(vars(edit()) | {"field": "sha256"}), "there is no field 'sha256' to edit"),
        (json.dumps(vars(edit()) | {"after": "x"}), "after must be a list of ids"),
        (json.dumps(vars(edit()) | {"of_text": 1}), "of_text must be true or false"),
    ],
)
def test_a_line_that_is_no_edit_is_named(tmp_path, line, why):
    """Nothing is guessed and nothing is passed over: the file and the line are told."""
    good = edit().to_json()
    (tmp_path / "a.jsonl").write_text(good + line + "\n" + good)
    with pytest.raises(InvalidDatasetError, match=rf"a\.jsonl, line 2: is no edit \(.*{why}"):
        Journal(str(tmp_path)).edits()


def test_a_line_of_an_older_version_is_read(tmp_path):
    """It does not say whether it is of one of several captions, and is of the whole image."""
    line = {name: value for name, value in vars(edit()).items() if name != "of_text"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    (one,) = Journal(str(tmp_path)).edits()
    assert one.cell == ("i1", "caption")


def test_no_edit_is_lost_when_its_writer_is_killed(tmp_path):
    """Of writers that are killed at any moment, all told edits are there, and every line whole."""
    told = 0
    for number in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            env=os.environ,
        )
        for _ in range(10):
            writer.stdout.readline()
        time.sleep(0.003 * number)
        writer.send_signal(signal.SIGKILL)
        told += 10 + len(writer.stdout.read().splitlines())
        writer.wait()
    edits = Journal(str(tmp_path)).edits()
    assert told <= len(edits) <= told + 5  # written, and killed before it was told
    for one in edits:
        number = int(one.image.partition("-")[2])
        assert one.value == "x" * (1 + number % 700)


def test_threads_of_one_writer(tmp_path):
    """Requests that come at once are written one after the other."""
    journal = Journal(str(tmp_path))
    threads = [threading.Thread(target=lambda: journal.add([edit()])) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Journal(str(tmp_path)).edits()) == 40


def test_an_object_store_takes_edits(s3_base):
    """The same on a store, where nothing can be appended to."""
    folder = edits_folder(s3_base)
    first, second = Journal(folder), Journal(folder)
    first.add([edit("one")])
    second.add([edit("two")])
    first.add([edit("three")])
    assert sorted(one.value for one in Journal(folder).edits()) == ["one", "three", "two"]
    assert edits_version(folder) != ""


def test_a_folder_that_is_not_there_has_no_edits(tmp_path):
    """Asking for them makes nothing."""
    folder = edits_folder(str(tmp_path / "base"))
    assert Journal(folder).edits() == []
    assert not Path(storage.parent(folder)).exists()
