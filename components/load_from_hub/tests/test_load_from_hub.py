"""`load_from_hub`, run through its argument vector on datasets that the tests make."""

import io
import json
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fondant_spec.errors import FondantError, InputDataError, InvalidArgumentError
from fondant_spec.testing import Result, run_component

COMPONENT = Path(__file__).parents[1]
ORIENTATION = 0x0112


def photo(
    seed: int, size: tuple[int, int] = (40, 30), kind: str = "JPEG", **options: object
) -> bytes:
    """Return an encoded image of noise, `size` in (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def turned_photo() -> bytes:
    """Return a JPEG that is stored as 40x30 and displayed as 30x40."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return photo(1, exif=exif)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never reach for the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


@pytest.fixture
def hub_repository(tmp_path: Path) -> Path:
    """Return a dataset repository as it lies on the hub: a card, and Parquet with features."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "mask": datasets.Image(),
        },
    )
    rows = {
        "image": [{"bytes": photo(i), "path": f"{i}.jpg"} for i in range(5)],
        "text": [f"photo {i}" for i in range(5)],
        "label": [0, 1, -1, 0, 1],
        "mask": [{"bytes": photo(9, kind="PNG"), "path": None}, None, None, None, None],
    }
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.to_parquet(folder / "data" / "train-00000-of-00002.parquet")
    dataset.select([1]).to_parquet(folder / "data" / "train-00001-of-00002.parquet")
    dataset.select([0]).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# Photos\n")
    return folder


def load(dataset: Path | str, tmp_path: Path, produces: dict | None = None, **arguments) -> Result:
    """Run the component; `produces` are the extra fields that the step asks for."""
    options = {"produces": json.dumps(produces or {}), "max_reject_share": "1"}
    return run_component(
        COMPONENT, None, tmp_path, options=options, dataset_name=str(dataset), **arguments
    )


def rejected(result: Result) -> list[tuple[str, str]]:
    """Return (id, reason) of the rejects."""
    rejects = result.rejects.to_pydict()
    return list(zip(rejects["id"], rejects["reason"], strict=True))


def test_a_hub_repository_keeps_original_bytes_and_order(hub_repository, tmp_path):
    """Rows come in the order of the files, with the very bytes and the size from the header."""
    result = load(hub_repository, tmp_path)
    assert result.table["id"].to_pylist() == [f"{i:012d}" for i in range(6)]
    assert result.table["image"].to_pylist() == [photo(i) for i in (0, 1, 2, 3, 4, 1)]
    assert set(result.table["image_width"].to_pylist()) == {40}
    assert set(result.table["image_height"].to_pylist()) == {30}
    assert result.table.schema.field("image_width").type == pa.int32()
    assert len(result.rejects) == 0


def test_extra_fields_are_loaded_when_the_step_asks(hub_repository, tmp_path):
    """Texts pass, classes come by name, declared image columns as bytes, under mapped names."""
    produces = {"caption": "string", "label": "string", "mask": "binary"}
    result = load(hub_repository, tmp_path, produces, column_name_mapping={"text": "caption"})
    assert result.table["caption"].to_pylist()[:2] == ["photo 0", "photo 1"]
    assert result.table["label"].to_pylist() == ["cat", "dog", None, "cat", "dog", "dog"]
    assert result.table["mask"].to_pylist() == [photo(9, kind="PNG"), *[None] * 5]


def test_metadata_says_where_a_field_comes_from(hub_repository, tmp_path):
    """The manifest records dataset, split, column and encoding of every field."""
    result = load(hub_repository, tmp_path, {"text": "string"}, split="test")
    expected = {"dataset": str(hub_repository), "config": None, "split": "test", "revision": None}
    fields = result.manifest.fields
    assert fields["text"].metadata == {**expected, "column": "text"}
    assert fields["image"].metadata == {**expected, "column": "image", "encoding": "original"}
    assert result.table.num_rows == 1


def test_n_rows_to_load_counts_rows_of_the_source(hub_repository, tmp_path):
    """Loading stops after so many rows, whatever the batches."""
    result = load(hub_repository, tmp_path, n_rows_to_load=3, batch_rows=2)
    assert result.table["image"].to_pylist() == [photo(i) for i in range(3)]


def test_a_folder_of_images_is_a_dataset(tmp_path):
    """Any tree of images loads in the order of its paths; text files beside them do not matter."""
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(turned_photo())
    (folder / "a.txt").write_text("a caption for a trainer")
    (folder / "b" / "c.webp").write_bytes(photo(2, kind="WEBP"))
    (folder / "b" / "d.png").write_bytes(photo(3, kind="PNG"))
    result = load(folder, tmp_path)
    assert result.table["image"].to_pylist() == [
        turned_photo(),
        photo(2, kind="WEBP"),
        photo(3, kind="PNG"),
    ]
    assert result.table["image_width"].to_pylist() == [30, 40, 40]
    assert result.table["image_height"].to_pylist() == [40, 30, 30]


def test_an_imagefolder_brings_its_captions(tmp_path):
    """`metadata.jsonl` gives more columns; a file that is not there, or no image, is a reject."""
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = [{"file_name": f"{name}.jpg", "text": name} for name in ("one", "gone", "bad", "two")]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "one.jpg").write_bytes(photo(1))
    (folder / "bad.jpg").write_bytes(b"<html>")
    (folder / "two.jpg").write_bytes(photo(2))
    result = load(folder, tmp_path, {"text": "string"})
    assert result.table["text"].to_pylist() == ["one", "two"]
    assert result.table["image"].to_pylist() == [photo(1), photo(2)]
    assert rejected(result) == [
        ("000000000001", "file_not_found"),
        ("000000000002", "not_an_image"),
    ]


def test_metadata_that_points_outside_is_refused(tmp_path):
    """A file name in `metadata.jsonl` cannot reach out of the folder."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "secret.jpg").write_bytes(photo(2))
    (tmp_path / "photos" / "1.jpg").write_bytes(photo(1))
    (tmp_path / "photos" / "metadata.jsonl").write_text('{"file_name": "../secret.jpg"}\n')
    result = load(tmp_path / "photos", tmp_path)
    assert result.table["image"].to_pylist() == [photo(1)]
    assert rejected(result) == [("000000000000", "path_outside_dataset")]
    told = result.rejects["message"][0].as_py()
    assert "'../secret.jpg' leads out of the dataset" in told
    assert told.endswith("; move the list to a folder that holds both")


def test_images_inside_a_zip_are_read(tmp_path):
    """A folder may hold its images in a zip archive, as on the hub."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("1.jpg", photo(1))
        archive.writestr("2.jpg", b"not an image")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    result = load(folder, tmp_path)
    assert result.table["image"].to_pylist() == [photo(1)]
    assert rejected(result) == [("000000000001", "not_an_image")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_data_file_may_name_image_files(tmp_path, kind):
    """Paths in a CSV, JSON lines or Parquet file are relative to that file, and stay below it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(photo(1))
    (tmp_path / "images" / "empty.jpg").write_bytes(b"")
    (tmp_path.parent / "secret.jpg").write_bytes(photo(2))
    paths = {
        "images/1.jpg": None,
        "images/empty.jpg": "empty",
        "images/none.jpg": "file_not_found",
        "images": "unreadable_file",
        "../secret.jpg": "path_outside_dataset",
        str(tmp_path.parent / "secret.jpg"): "path_outside_dataset",
        "zip://1.jpg::/etc/images.zip": "path_outside_dataset",
        "https://example.org/1.jpg": "url_not_a_file",
        "file:///etc/passwd": "url_not_a_file",
        None: "no_image",
    }
    rows = [{"photo": path, "text": f"row {n}"} for n, path in enumerate(paths)]
    file = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        file.write_text("photo,text\n" + "".join(f"{r['photo'] or ''},{r['text']}\n" for r in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    result = load(file, tmp_path, {"text": "string"}, image_column="photo")
    assert result.table["image"].to_pylist() == [photo(1)]
    assert result.table["text"].to_pylist() == ["row 0"]
    assert [reason for _, reason in rejected(result)] == [r for r in paths.values() if r]


def test_a_url_is_refused_with_the_way_to_go(tmp_path):
    """The message of a reject says what loads URLs instead."""
    (tmp_path / "rows.csv").write_text("image\nhttps://example.org/1.jpg\n")
    result = load(tmp_path / "rows.csv", tmp_path)
    assert result.rejects["message"][0].as_py() == (
        "rows.csv line 2: 'https://example.org/1.jpg' is a URL, not a file of the dataset; "
        "load it as a text field, and let download_images fetch it"
    )


def test_every_bad_image_is_one_reject(tmp_path):
    """Null cells, empty bytes, and bytes that are no image are reported one by one."""
    cells = [photo(0), None, b"", b"<html>", photo(1)[:2], photo(2)]
    pq.write_table(pa.table({"image": cells}), tmp_path / "rows.parquet")
    result = load(tmp_path / "rows.parquet", tmp_path)
    assert result.table["image"].to_pylist() == [photo(0), photo(2)]
    assert [reason for _, reason in rejected(result)] == [
        "no_image",
        "empty",
        "not_an_image",
        "not_an_image",
    ]
    assert result.manifest.rejects == {"no_image": 1, "empty": 1, "not_an_image": 2}


def test_decoded_arrays_become_png(tmp_path):
    """Pixels come out of the PNG as they went in; what cannot be pixels is a reject."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3)).tolist()
    gray = np.random.default_rng(1).integers(0, 255, (4, 6, 1)).tolist()
    cells = [pixels, gray, [[[256, 0, 0]]], [[[1, 2]]], [[[1, 2, 3]], []]]
    pq.write_table(pa.table({"image": pa.array(cells)}), tmp_path / "rows.parquet")
    result = load(tmp_path / "rows.parquet", tmp_path)
    images = [Image.open(io.BytesIO(data)) for data in result.table["image"].to_pylist()]
    assert [image.format for image in images] == ["PNG", "PNG"]
    assert np.array(images[0]).tolist() == pixels
    assert np.array(images[1])[:, :, None].tolist() == gray
    assert [reason for _, reason in rejected(result)] == ["not_an_image"] * 3
    assert result.manifest.fields["image"].metadata["encoding"] == "PNG, made from arrays"


def test_prompts_load_without_images(tmp_path):
    """With an empty `image_column`, texts load alone and the image fields are null."""
    (tmp_path / "prompts.csv").write_text('prompt\n"a red, round room"\na blue one\n')
    result = load(tmp_path / "prompts.csv", tmp_path, {"prompt": "string"}, image_column="")
    assert result.table["prompt"].to_pylist() == ["a red, round room", "a blue one"]
    assert result.table["image"].null_count == result.table["image_width"].null_count == 2
    assert len(result.rejects) == 0


def test_an_index_column_gives_the_ids(tmp_path):
    """Texts are ids as they are, whole numbers padded; a missing or repeated one is a reject."""
    rows = [{"key": key, "text": "t"} for key in ("b", "a", None, "b")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    arguments = {"image_column": "", "index_column": "key"}
    result = load(tmp_path / "rows.parquet", tmp_path, {"text": "string"}, **arguments)
    assert result.table["id"].to_pylist() == ["b", "a"]
    assert rejected(result) == [("row 2", "no_id"), ("row 3", "duplicate_id")]

    pq.write_table(pa.table({"key": [7, 5], "text": ["x", "y"]}), tmp_path / "numbers.parquet")
    result = load(tmp_path / "numbers.parquet", tmp_path, {"text": "string"}, **arguments)
    assert result.table["id"].to_pylist() == ["000000000007", "000000000005"]


def test_wildcards_and_urls_name_files(tmp_path):
    """Several files load in the order of their names; any fsspec URL will do."""
    for name in ("b", "a"):
        pq.write_table(pa.table({"text": [name]}), tmp_path / f"{name}.parquet")
    for dataset in (tmp_path / "*.parquet", f"file://{tmp_path}/*.parquet"):
        result = load(dataset, tmp_path, {"text": "string"}, image_column="")
        assert result.table["text"].to_pylist() == ["a", "b"]


def test_a_configuration_is_chosen_by_name(tmp_path):
    """A repository with several configurations needs `config`, and says which there are."""
    folder = tmp_path / "repository"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        (folder / name / "rows.csv").write_text(f"text\n{name}\n")
    configs = [{"config_name": name, "data_files": f"{name}/*.csv"} for name in ("one", "two")]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    arguments = {"image_column": "", "produces": {"text": "string"}}
    result = load(folder, tmp_path, config="two", **arguments)
    assert result.table["text"].to_pylist() == ["two"]
    with pytest.raises(InputDataError, match=r"name one as config: one, two\.$"):
        load(folder, tmp_path, **arguments)
    with pytest.raises(InputDataError, match=r"Configurations: one, two\.$"):
        load(folder, tmp_path, config="three", **arguments)


SPLITS = (
    "test (test-00000-of-00001.parquet); "
    "train (train-00000-of-00002.parquet, train-00001-of-00002.parquet)"
)
COLUMNS = "Columns: image (images), text, label, mask (images)."
NAME_ONE = "Name one as image_column, or set that to an empty text to load no images."
STRUCT = "struct<bytes: binary, path: string>"


@pytest.mark.parametrize(
    ("arguments", "produces", "message"),
    [
        (
            {"image_column": "imge"},
            {},
            f"there is no column 'imge'; did you mean 'image'? {COLUMNS} {NAME_ONE}",
        ),
        (
            {"image_column": "label"},
            {},
            f"column 'label' is not a column of images, but int64. {COLUMNS} {NAME_ONE}",
        ),
        ({}, {"caption": "string"}, f"there is no column 'caption'. {COLUMNS}"),
        (
            {"index_column": "image"},
            {},
            f"column 'image' is not a column of texts or whole numbers, but {STRUCT}. {COLUMNS}",
        ),
        (
            {"image_column_names": ["masks"]},
            {},
            f"there is no column 'masks'; did you mean 'mask'? {COLUMNS}",
        ),
        ({"split": "valid"}, {}, f"there is no split 'valid'. Splits: {SPLITS}."),
        ({"image_column": ""}, {}, "nothing to load; name an image_column, or other fields."),
    ],
)
def test_what_is_not_there_is_named(hub_repository, tmp_path, arguments, produces, message):
    """A missing column or split is one clear line with the choices there are."""
    with pytest.raises(InputDataError) as error:
        load(hub_repository, tmp_path, produces, **arguments)
    assert str(error.value) == f"{hub_repository}: {message}"


@pytest.mark.parametrize("name", ["n_rows_to_load", "batch_rows"])
def test_no_rows_at_all_are_refused(hub_repository, tmp_path, name):
    """The least number of rows is one."""
    with pytest.raises(InvalidArgumentError) as error:
        load(hub_repository, tmp_path, {}, **{name: 0})
    assert str(error.value) == f"load_from_hub: argument {name!r} must be at least 1, not 0."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "{0}: there is no such file or folder; give a folder, a file ending in"),
        ("a/b/c", None, "{0}: there is no such file or folder; give a folder, a file ending in"),
        ("notes.md", "# no", "{0}: cannot be read as a dataset; give a folder, a file ending in"),
        ("bad.parquet", "zzz", "bad.parquet: cannot be read: Parquet file size is 3 bytes"),
        ("twice.csv", "image,b,b\n1,2,3\n", "twice.csv: two columns are named 'b'; name each once"),
        (
            "quote.csv",
            'image,b\n1,2\n3,"4\n5,6\n',
            "quote.csv: a quote that is opened after line 2",
        ),
        ("array.json", "[1, 2", "array.json: cannot be read: Expecting ',' delimiter"),
        ("empty.jsonl", "", "{0}: there is no column 'image'. Columns: none."),
        ("header.csv", "image,text\n", "{0}: split 'train' has no rows; name another one."),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path, name, content, message):
    """Files that are missing, broken or of another kind are errors of one line."""
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(FondantError) as error:
        load(tmp_path / name, tmp_path)
    assert str(error.value).startswith(message.format(tmp_path / name))
    assert "\n" not in str(error.value)


def test_an_empty_folder_is_an_error(tmp_path):
    """A folder without any data files says so."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputDataError, match="holds nothing that can be loaded; give a folder"):
        load(tmp_path / "empty", tmp_path)


def test_a_dataset_without_rows_is_an_error(tmp_path):
    """A split with columns but no rows says so."""
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "rows.parquet")
    with pytest.raises(InputDataError, match=r"rows.parquet: split 'train' has no rows"):
        load(tmp_path / "rows.parquet", tmp_path)


@pytest.mark.parametrize("name", ["owner/photos", "nosuch"])
def test_the_hub_offline_is_one_clear_error(tmp_path, name):
    """An id, or a mistyped folder, with no hub to ask, ends in one line."""
    told = rf"^{name}: there is no such folder or file here; on the hub: cannot .*offline mode"
    with pytest.raises(InputDataError, match=told):
        load(name, tmp_path)
