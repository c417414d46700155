"""Exports that are interrupted while they replace an earlier one."""

import hashlib
import json
import os
import sys
from pathlib import Path

import fsspec
import pytest

from fondant_spec.dataset.written_files import changed_files
from fondant_spec.errors import StorageError
from image_toolkit.publishing.published_folder import published

NOTE = ".being_replaced.json"
KILLED = 9
CHANGES = ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open")


def publish(target: str, word: str, count: int = 2) -> None:
    """Publish a folder of texts that hold a word."""
    with published(target, {"word": word}) as folder:
        for n in range(count):
            folder.write(f"train/{n}.txt", word.encode())
        folder.write("README.md", f"the card of {word}".encode())


def texts(target: str) -> dict[str, bytes]:
    """Return the files at a target, by their paths, without the mark."""
    fs, root = fsspec.core.url_to_fs(target)
    names = (str(name) for name in fs.find(root))
    found = {name.removeprefix(f"{root}/"): fs.cat(name) for name in names}
    assert json.loads(found.pop("export.json"))["files"].keys() == found.keys()
    return found


def whole(word: str, count: int = 2) -> dict[str, bytes]:
    """Return the files of a whole export."""
    card = {"README.md": f"the card of {word}".encode()}
    return card | {f"train/{n}.txt": word.encode() for n in range(count)}


def die_at(change: int, target: str) -> bool:
    """Publish in a process that dies before its n-th change of a file; return whether it did."""
    child = os.fork()
    if child == 0:
        left = change

        def die(event: str, arguments: tuple) -> None:
            nonlocal left
            writes = event != "open" or (isinstance(arguments[1], str) and "w" in arguments[1])
            if event in CHANGES and writes:
                left -= 1
                if left == 0:
                    os._exit(KILLED)

        sys.addaudithook(die)
        publish(target, "new", 1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def test_a_process_may_die_at_any_moment(tmp_path):
    """Wherever it is killed: a mark stands for whole files, and the next run makes way."""
    change, died = 0, True
    while died:
        change += 1
        target = tmp_path / f"{change}"
        publish(str(target), "old")
        died = die_at(change, str(target))
        if (target / "export.json").exists():
            assert list(changed_files(str(target / "export.json"), reads_all=True)) == []
        publish(str(target), "newest", 3)
        assert texts(str(target)) == whole("newest", 3)
    assert change > 8


@pytest.fixture
def failing(monkeypatch):
    """Have the next uploads of a folder fail, as often as is said; nothing else can."""
    left = {"failures": 0}
    memory = fsspec.filesystem("memory")
    put = type(memory).put

    def failing_put(self, source, *arguments, **options):
        if left["failures"] and source.endswith("train"):
            left["failures"] -= 1
            raise ConnectionResetError
        return put(self, source, *arguments, **options)

    monkeypatch.setattr(type(memory), "put", failing_put)
    return left


@pytest.mark.parametrize("before", ["", "old"])
def test_an_upload_that_failed_may_be_tried_again(tmp_path, failing, before):
    """As often as it fails; in the meantime nothing looks like a whole export."""
    target = f"memory://{tmp_path.name}/{before}out"
    if before:
        publish(target, before)
    failing["failures"] = 2
    for word in ("new", "newer"):
        with pytest.raises(StorageError, match="cannot be written"):
            publish(target, word)
        assert not fsspec.filesystem("memory").exists(f"{target}/export.json")
    publish(target, "newest")
    assert texts(target) == whole("newest")


@pytest.mark.parametrize(
    ("name", "became"), [("README.md", "edited"), ("mine.txt", "added"), ("train/9", "added")]
)
def test_what_a_person_put_there_in_the_meantime_stays(tmp_path, failing, name, became):
    """The note clears no file that is not as one of the two exports had it."""
    target = f"memory://{tmp_path.name}/{name}/out"
    failing["failures"] = 1
    with pytest.raises(StorageError):
        publish(target, "new")
    fs = fsspec.filesystem("memory")
    fs.pipe(f"{target}/{name}", b"mine")
    with pytest.raises(StorageError, match=f"{name} was {became}. Nothing was overwritten"):
        publish(target, "newest")
    assert fs.cat(f"{target}/{name}") == b"mine"


@pytest.mark.parametrize("note", [b"{", b"[]", b'{"may_be_cleared": ["a"]}', b"{}"])
def test_a_note_that_says_nothing_gives_no_leave(tmp_path, note):
    """Whosever it is, what lies beside it is somebody's."""
    (tmp_path / NOTE).write_bytes(note)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"mine\.txt was added"):
        publish(str(tmp_path), "new")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_files_that_something_else_wrote(tmp_path):
    """Once entered, they are in the mark like all others, and a change of them is seen."""
    target = str(tmp_path / "model")
    with published(target, {}) as folder:
        (folder.path / "unet").mkdir()
        (folder.path / "unet" / "weights.bin").write_bytes(b"123")
        folder.enter("unet/weights.bin")
    mark = f"{target}/export.json"
    listed = json.loads(Path(mark).read_text(encoding="utf-8"))["files"]["unet/weights.bin"]
    assert (listed["bytes"], listed["sha256"]) == (3, hashlib.sha256(b"123").hexdigest())
    (tmp_path / "model" / "unet" / "weights.bin").write_bytes(b"321")
    assert list(changed_files(mark)) == ["unet/weights.bin was edited"]


def test_a_file_is_no_folder(tmp_path):
    """A file in the way is told as one, and stays."""
    file = tmp_path / "out"
    file.write_text("mine")
    with pytest.raises(StorageError) as caught:
        publish(str(file), "new")
    assert str(caught.value) == f"{file}: is a file; choose an empty or a new folder."
    assert file.read_text() == "mine"
