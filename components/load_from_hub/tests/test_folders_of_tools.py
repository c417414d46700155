"""Folders and archives as other tools leave them: read as what they are, captions included."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fondant_spec.errors import InputDataError
from fondant_spec.testing import run_component
from tests.told_rejects import reasons

EXPORT = Path(__file__).parents[2] / "export_dataset"
TEXT = {"text": "string"}


def img2dataset_files(fill, photo):
    """Return a folder as img2dataset's `files` output lies."""
    files = {}
    for shard in ("00000", "00001"):
        for number in range(2):
            key = f"{shard}/{shard}000{number}"
            files[f"{key}.jpg"] = photo(number)
            files[f"{key}.txt"] = f"caption {key}"
            files[f"{key}.json"] = json.dumps({"caption": "x", "url": f"http://{key}", "width": 16})
        table = io.BytesIO()
        pq.write_table(pa.table({"url": ["u"], "status": ["success"]}), table)
        files[f"{shard}.parquet"] = table.getvalue()
        files[f"{shard}_stats.json"] = json.dumps({"count": 2, "successes": 2})
    return fill(**files)


def test_the_files_that_img2dataset_leaves(fill, load, photo):
    """Its images are the rows; captions come from the texts, more from the objects beside them."""
    fields = {"caption": "string", "url": "string", "width": "int32"}
    result = load(img2dataset_files(fill, photo), produces=fields)
    keys = ["00000/000000000", "00000/000000001", "00001/000010000", "00001/000010001"]
    assert result.table["caption"].to_pylist() == [f"caption {key}" for key in keys]
    assert result.table["url"].to_pylist() == [f"http://{key}" for key in keys]
    assert result.table["width"].to_pylist() == [16] * 4
    assert len(result.rejects) == 0


def test_our_own_kohya_export(fill, load):
    """What `export_dataset` wrote for kohya loads with its captions."""
    files = {
        "README.md": "---\ntask_categories:\n- text-to-image\n---\n# Images with captions\n",
        "export.json": '{"layout": "kohya", "files": "0"}\n',
        "dataset.toml": "[general]\n",
        "train/1.txt": "a cat\n",
        "train/2.txt": "a dog\n",
        "validation/3.txt": "a cow\n",
    }
    folder = fill("train/1.jpg", "train/2.jpg", "validation/3.jpg", **files)
    assert load(folder, produces=TEXT).table["text"].to_pylist() == ["a cat", "a dog"]
    assert load(folder, produces=TEXT, split="validation").table["text"].to_pylist() == ["a cow"]


def test_our_own_imagefolder_export(fill, load):
    """What its README says of splits holds."""
    files = {
        "README.md": (
            "---\nconfigs:\n- config_name: default\n  data_files:\n"
            "  - split: train\n    path: train/**\n---\n"
        ),
        "export.json": "{}",
        "train/metadata.jsonl": '{"file_name": "1.jpg", "text": "a cat", "similarity": 0.10}\n',
    }
    folder = fill("train/1.jpg", **files)
    result = load(folder, produces={"text": "string", "similarity": "float32"})
    assert result.table["text"].to_pylist() == ["a cat"]
    assert load(folder, produces={"similarity": "string"}).table["similarity"][0].as_py() == "0.10"


TEXTS = {"type": "array", "items": {"type": "string"}}
FILES = ("kohya", "simpletuner", "ai-toolkit", "onetrainer", "everydream2")


@pytest.fixture
def export(tmp_path, photo):
    """Return a function that exports three pairs with tags and masks, and one of a class."""
    white = io.BytesIO()
    Image.new("L", (16, 12), 255).save(white, "PNG")
    pairs = pa.table(
        {
            "image": [photo(number) for number in range(4)],
            "caption": ["a cat", "a dog", "yes", None],
            "tags": pa.array([["red"], None, [], None], pa.list_(pa.string())),
            "mask": pa.array([white.getvalue()] * 4, pa.binary()),
            "class_prompt": pa.array([None] * 3 + ["an animal"]),
            "repeats": pa.array([1, 1, 4, 1], pa.int32()),
        }
    )

    def run(*layouts, table=pairs):
        place = tmp_path / "-".join(layouts)
        run_component(
            EXPORT, table, tmp_path / "export", output_path=str(place), layouts=list(layouts)
        )
        return place

    return run


@pytest.mark.parametrize("layout", FILES)
def test_our_own_exports_for_trainers(export, load, layout):
    """Captions come from where the trainer has them; masks and images of the class are no rows."""
    folder = export(layout) / layout
    name = "caption" if layout == "simpletuner" else "text"
    loaded = load(folder, produces={name: "string"})
    tags = "" if layout == "everydream2" else ", red"
    assert loaded.table[name].to_pylist() == [f"a cat{tags}", "a dog", "yes"]
    held_out = load(folder, produces={name: "string"}, split="regularization")
    assert held_out.table[name].to_pylist() == ["an animal"]
    assert len(loaded.rejects) == 0
    if layout != "everydream2":
        masks = load(folder, produces={"mask": "binary"}).table["mask"].to_pylist()
        assert [Image.open(io.BytesIO(mask)).size for mask in masks] == [(16, 12)] * 3


@pytest.mark.parametrize("layout", ["kohya", "onetrainer"])
def test_several_captions_of_our_own_exports_come_back(export, load, photo, layout):
    """The first, and the others as a list; braces as they were, each caption on one line."""
    captions = ["a {red} cat", "{{two}} {a|b} dogs", None]
    more = pa.array([["second", "a {third}\nline"], None, ["yes"]], pa.list_(pa.string()))
    images = [photo(number) for number in range(3)]
    table = pa.table({"image": images, "caption": captions, "more_captions": more})
    folder = export(layout, table=table) / layout
    rows = load(folder, produces={"caption": "string", "more_captions": TEXTS}).table.to_pylist()
    assert [row["caption"] for row in rows] == [*captions[:2], "yes"]
    assert [row["more_captions"] for row in rows] == [["second", "a {third} line"], [], []]
    assert load(folder, produces=TEXT).table["text"].to_pylist() == [*captions[:2], "yes"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.toml", "[general]\nenable_wildcard = false\n"),
        ("dataset.toml", "general = 1\n"),
        ("concepts.json", '[{"text": {"prompt_source": "filename"}}, 1, {"text": 2}]'),
        ("concepts.json", "{}"),
        ("below/dataset.toml", "[general]\nenable_wildcard = true\n"),
    ],
)
def test_a_text_is_one_caption_where_no_line_of_it_is_drawn(fill, load, name, content):
    """Lines and braces are the text's own then."""
    text = "a {{red}} cat\nsecond"
    folder = fill("1.jpg", **{"1.txt": text, name: content})
    assert load(folder, produces=TEXT).table["text"].to_pylist() == [text]


@pytest.mark.parametrize("name", ["dataset.toml", "concepts.json"])
@pytest.mark.parametrize("content", [b"[", b"\xff", b"a = " + b"[" * 100_000, b"[" * 100_000])
def test_a_configuration_that_is_broken_is_told(fill, load, caplog, name, content):
    """It costs no row."""
    folder = fill("1.jpg", **{"1.txt": "a cat", name: content})
    assert load(folder, produces=TEXT).table["text"].to_pylist() == ["a cat"]
    assert f"{name} is not read, so each text beside an image is one caption" in caplog.text


def test_tags_of_everydream2_come_back_with_their_weights(export, load, photo):
    """As lists of the same length, whether a tag has a weight or not."""
    weights = pa.array([[1.0, 2.5]], pa.list_(pa.float32()))
    columns = {"caption": ["a cat"], "tags": [["red", "hat"]], "tag_weights": weights}
    folder = export("everydream2", table=pa.table({"image": [photo()], **columns}))
    fields = {"tags": TEXTS, "tag_weights": {"type": "array", "items": {"type": "float32"}}}
    row = load(folder / "everydream2", produces=fields).table.to_pylist()[0]
    assert (row["tags"], row["tag_weights"]) == (["red", "hat"], [1.0, 2.5])


def test_a_folder_of_several_layouts_is_refused_or_one_of_them(export, load):
    """Its README names the one that is a table; where none is, a person has to."""
    loaded = load(export("kohya", "imagefolder"), produces=TEXT)
    assert loaded.table["text"].to_pylist() == ["a cat", "a dog", "yes"]
    folder = export("kohya", "onetrainer")
    with pytest.raises(InputDataError) as error:
        load(folder, produces=TEXT)
    each = f"load one of {folder}/kohya, {folder}/onetrainer."
    assert str(error.value) == f"{folder}: holds the same pairs once for each layout; {each}"


def test_the_other_name_of_a_caption_is_not_called_unread(fill, load, caplog):
    """A text beside an image is its `text` and its `caption`; one of them is enough."""
    caplog.set_level("INFO")
    load(fill("1.jpg", **{"1.txt": "a cat"}), produces=TEXT)
    assert "not loaded" not in caplog.text


def shard(folder, name, samples):
    """Write a tar archive of samples, files by name."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / name, "w") as archive:
        for member, content in samples.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_the_archives_that_img2dataset_leaves(tmp_path, load, photo):
    """Tables and statistics beside the archives are none of the samples."""
    folder = tmp_path / "shards"
    for number in range(2):
        samples = {
            f"{number}0.jpg": photo(0),
            f"{number}0.json": json.dumps({"url": None}).encode(),
            f"{number}0.txt": b"None",
            f"{number}1.json": json.dumps({"url": "http://late"}).encode(),
            f"{number}1.jpg": photo(1),
        }
        shard(folder, f"0000{number}.tar", samples)
        pq.write_table(pa.table({"url": ["u"]}), folder / f"0000{number}.parquet")
        (folder / f"0000{number}_stats.json").write_text("{}")
    result = load(folder, produces={"text": "string", "url": "string", "json": "string"})
    assert result.table["image"].to_pylist() == [photo(0), photo(1)] * 2
    assert result.table["text"].to_pylist() == ["None", None] * 2
    assert result.table["url"].to_pylist() == [None, "http://late"] * 2
    assert result.table["json"][1].as_py() == '{"url": "http://late"}'
    assert result.table["file_name"][0].as_py() == "00000.tar/00.jpg"
    assert len(result.rejects) == 0


def test_members_that_lead_elsewhere_are_refused(tmp_path, load, photo):
    """Links, devices, pipes and paths out of an archive are rejects, each by name."""
    with tarfile.open(tmp_path / "hostile.tar", "w") as archive:

        def add(name, kind=tarfile.REGTYPE, content=b"", target=""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), target
            archive.addfile(entry, io.BytesIO(content))

        add("a.jpg", content=photo(1))
        add("b.jpg", tarfile.SYMTYPE, target="/etc/passwd")
        add("c.jpg", tarfile.LNKTYPE, target="a.jpg")
        add("d.jpg", tarfile.FIFOTYPE)
        add("e.jpg", tarfile.CHRTYPE)
        add("../f.jpg", content=photo(2))
        add("/g.jpg", content=photo(3))
        add("h.jpg", content=photo(4))
    result = load(tmp_path / "hostile.tar")
    assert result.table["image"].to_pylist() == [photo(1), photo(4)]
    told = [(reason, message.split(": ")[0]) for reason, message in reasons(result)]
    assert told == [
        *(("not_a_file", f"hostile.tar/{name}.jpg") for name in "bcde"),
        ("path_outside_dataset", "hostile.tar/../f.jpg"),
        ("path_outside_dataset", "hostile.tar//g.jpg"),
    ]
