"""`export_dataset`, run again where it was run before: hits, other exports, and edits by hand."""

import json
import os
from hashlib import sha256
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pytest

from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import StorageError
from fondant_spec.testing import Result, run_component
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
LAYOUTS = ["imagefolder", "kohya", "webdataset"]
CAPTION_FILES = {
    "imagefolder": "train/metadata.jsonl",
    "kohya": "train/1_images/000000000001.txt",
    "webdataset": "train-00000.tar",
}
KEEP = (
    "Nothing was overwritten. To keep the folder as it is, choose another output_path or move it "
    "away; to have it exported anew, remove it."
)


@pytest.fixture(autouse=True)
def _trusts_what_it_wrote(monkeypatch, tmp_path):
    """Let results be held against what they wrote outside of their base path."""
    monkeypatch.setenv(TRUSTED, str(tmp_path))


def pairs(count: int = 3) -> pa.Table:
    """Return images with two fields of captions, as two trigger words make them."""
    numbers = range(count)
    columns = {f"text_{word}": [f"{word}, photo {n}" for n in numbers] for word in "ab"}
    return pa.table({"image": [photo(n) for n in numbers], **columns})


def export(tmp_path: Path, word: str = "a", **arguments: object) -> Result:
    """Run the component with the captions of a trigger word, in the one base path of a test."""
    options = {"consumes": json.dumps({"caption": f"text_{word}"})}
    arguments = {"output_path": str(tmp_path / "out")} | arguments
    return run_component(COMPONENT, pairs(), tmp_path, options=options, **arguments)


def captions(folder: Path, layout: str) -> list[str]:
    """Return the captions of the training split, as a trainer reads them.

    `datasets` has a cache of its own, which must not tell those of an earlier export.
    """
    if layout == "kohya":
        return [path.read_text().strip() for path in sorted((folder / "train").rglob("*.txt"))]
    loaded = datasets.load_dataset(str(folder), split="train")
    return loaded["txt" if layout == "webdataset" else "text"][:]


def edit(file: Path, old: bytes, new: bytes) -> None:
    """Change a file in its place, and set back when it was last written."""
    before = file.stat()
    file.write_bytes(file.read_bytes().replace(old, new, 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def content(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_folder_holds_what_was_asked_for_last(tmp_path, layout):
    """Trigger word a, then b, then a again, into one folder: the third run writes a once more."""
    for word in "aba":
        result = export(tmp_path, word, layout=layout)
        assert captions(tmp_path / "out", layout) == [f"{word}, photo {n}" for n in range(3)]
        assert validate(result.manifest) == []
    before = (tmp_path / "out" / "export.json").stat()
    export(tmp_path, "a", layout=layout)
    assert (tmp_path / "out" / "export.json").stat() == before  # a hit


def test_the_layout_asked_for_last(tmp_path):
    """Imagefolder, kohya, imagefolder: the last is not taken for the first."""
    for layout in ("imagefolder", "kohya", "imagefolder"):
        export(tmp_path, layout=layout)
        assert (tmp_path / "out" / "dataset.toml").exists() == (layout == "kohya")


@pytest.mark.parametrize("own_folder", [False, True])
@pytest.mark.parametrize("word", ["a", "b"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_edited_caption_is_never_overwritten(tmp_path, layout, word, own_folder):
    """Not by the same run, nor another; the edit is told by name, and `validate` tells it too.

    The edit keeps the size of the file and the time that it was written.
    """
    arguments = {"layout": layout} | ({"output_path": None} if own_folder else {})
    made = export(tmp_path, **arguments).manifest
    folder, name = Path(made.artifacts[0]).parent, CAPTION_FILES[layout]
    edit(folder / name, b"photo 1", b"my dog1")
    before = content(folder)
    problem = f"{folder}: is not what the step wrote: {name} was edited. To keep it as it is, move "
    assert validate(made) == [f"{problem}it away before the step runs again."]
    if own_folder and word == "b":
        export(tmp_path, word, **arguments)  # has a folder of its own
    else:
        with pytest.raises(StorageError) as error:
            export(tmp_path, word, **arguments)
        assert str(error.value) == (
            f"{folder}: is not as it was exported: {name} was edited. {KEEP}"
        )
    assert content(folder) == before


def test_an_edit_is_kept_by_moving_the_folder_or_choosing_another(tmp_path):
    """Both ways that the message names lead on; the folder that was moved stays as it is."""
    export(tmp_path, layout="kohya")
    edit(tmp_path / "out" / CAPTION_FILES["kohya"], b"photo 1", b"my dog1")
    export(tmp_path, layout="kohya", output_path=str(tmp_path / "other"))
    (tmp_path / "out").rename(tmp_path / "mine")
    export(tmp_path, layout="kohya")
    assert captions(tmp_path / "out", "kohya")[1] == "a, photo 1"
    assert captions(tmp_path / "mine", "kohya")[1] == "a, my dog1"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_removed_file_is_no_hit(tmp_path, layout):
    """A person may have sorted images out: that is told, not passed over nor undone."""
    made = export(tmp_path, layout=layout).manifest
    names = sorted(content(tmp_path / "out").keys() - {"export.json", "README.md"})
    for name in names:
        (tmp_path / "out" / name).unlink()
    named = ", ".join(f"{name} was removed" for name in names[:3])
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    assert validate(made)[0].startswith(f"{tmp_path / 'out'}: is not what the step wrote: {named}")
    with pytest.raises(StorageError) as error:
        export(tmp_path, layout=layout)
    assert str(error.value) == (
        f"{tmp_path / 'out'}: is not as it was exported: {named}{more}. {KEEP}"
    )


def test_a_folder_that_is_gone_is_exported_anew(tmp_path):
    """Whoever removes it whole gets it again."""
    export(tmp_path)
    before = content(tmp_path / "out").keys()
    for path in sorted((tmp_path / "out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    export(tmp_path)
    assert content(tmp_path / "out").keys() == before


def test_what_a_trainer_leaves_beside_is_no_change(tmp_path):
    """Caches of latents do not break a hit; yet nothing is written over while they lie there."""
    made = export(tmp_path).manifest
    (tmp_path / "out" / "train" / "latents.npz").write_bytes(b"trainer's")
    assert export(tmp_path).manifest == made
    assert validate(made) == []
    with pytest.raises(StorageError, match=r"train/latents\.npz was added"):
        export(tmp_path, "b")


def test_a_copy_is_read_and_found_the_same(tmp_path):
    """Other times of writing are no edit: the bytes decide."""
    made = export(tmp_path, layout="kohya").manifest
    for path in (tmp_path / "out").rglob("*"):
        os.utime(path, (1, 1))
    assert export(tmp_path, layout="kohya").manifest == made
    export(tmp_path, "b", layout="kohya")
    assert captions(tmp_path / "out", "kohya")[0] == "b, photo 0"


def test_the_mark_lists_all_files(tmp_path):
    """Size and hash are those of the bytes that lie there, for every layout."""
    for layout in LAYOUTS:
        export(tmp_path, layout=layout)
        files = content(tmp_path / "out")
        mark = json.loads(files.pop("export.json"))
        assert mark["files"].keys() == files.keys()
        for name, data in files.items():
            assert mark["files"][name]["bytes"] == len(data)
            assert mark["files"][name]["sha256"] == sha256(data).hexdigest()


@pytest.mark.parametrize("mark", ["{", "[]", '{"files": "0123"}', '{"files": {"a": 1}}'])
def test_a_mark_that_lists_nothing_gives_no_leave(tmp_path, mark):
    """What lies in a folder whose mark is another's, or broken, may be anybody's."""
    export(tmp_path)
    (tmp_path / "out" / "export.json").write_text(mark)
    with pytest.raises(StorageError, match="does not list its files, so they may be anybody's"):
        export(tmp_path)


def test_an_object_store_is_held_to_the_same(tmp_path):
    """There, too, an edit of the same size is no hit, and is not overwritten."""
    fs, target = fsspec.filesystem("memory"), f"memory://{tmp_path.name}/out"
    made = export(tmp_path, layout="kohya", output_path=target).manifest
    assert export(tmp_path, layout="kohya", output_path=target).manifest == made
    name = f"{target}/{CAPTION_FILES['kohya']}"
    fs.pipe(name, fs.cat(name).replace(b"photo", b"my ox"))
    for word in "ab":
        with pytest.raises(StorageError, match=r"train/1_images/000000000001\.txt was edited"):
            export(tmp_path, word, layout="kohya", output_path=target)
    assert fs.cat(name) == b"a, my ox 1"
