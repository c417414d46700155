"""Texts come out as files spell them, numbers as numbers; a bad line or cell is one reject."""

import base64
import gzip
import json
import re
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import FondantError, InputDataError
from tests.told_rejects import reasons

TEXT = {"text": "string"}
SPELLED = ["None", "NA", "null", "NaN", "0.10", "True", "007", "1e3", " a ", "a\tb", "é\u200b", "-"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "csv.gz"])
def test_texts_are_those_of_the_file(tmp_path, load, kind):
    """What looks like a number, a truth or nothing is a text where a text is declared."""
    file = tmp_path / f"rows.{kind}"
    texts = [text for text in SPELLED if kind != "tsv" or "\t" not in text]
    if kind == "parquet":
        pq.write_table(pa.table({"text": texts}), file)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    elif kind == "json":
        file.write_text(json.dumps([{"text": t} for t in texts]))
    else:
        content = ("n,text\n" + "".join(f"1,{t}\n" for t in texts)).encode()
        content = content.replace(b",", b"\t") if kind == "tsv" else content
        file.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    result = load(file, image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == texts


def test_numbers_of_json_keep_their_spelling(tmp_path, load):
    """A number that is declared a text has the characters of the file; else it is a number."""
    lines = '{"n": 0.10}\n{"n": 7}\n{"n": 1E+2}\n{"n": true}\n{"n": "x"}\n{"n": null}\n{}\n'
    (tmp_path / "rows.jsonl").write_text(lines)
    result = load(tmp_path / "rows.jsonl", image_column="", produces={"n": "string"})
    assert result.table["n"].to_pylist() == ["0.10", "7", "1E+2", "true", "x", None, None]
    result = load(tmp_path / "rows.jsonl", image_column="", produces={"n": "float64"})
    assert result.table["n"].to_pylist() == [0.1, 7.0, 100.0, None, None]
    assert reasons(result) == [
        ("bad_value", "rows.jsonl line 4: n: 'True' is no number"),
        ("bad_value", "rows.jsonl line 5: n: 'x' is no number"),
    ]


def test_other_types_of_parquet_become_texts(tmp_path, load):
    """Whole numbers, bytes, dictionaries and the views of newer writers are texts if asked."""
    table = pa.table(
        {
            "n": pa.array([7, None], pa.int8()),
            "b": pa.array([b"caf\xc3\xa9", b"\xff"], pa.binary()),
            "d": pa.array(["x", None]).dictionary_encode(),
            "v": pa.array(["long view of a text", None], pa.string_view()),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    fields = dict.fromkeys("nbdv", "string")
    result = load(tmp_path / "rows.parquet", image_column="", produces=fields)
    assert result.table.drop(["id"]).select(list("nbdv")).to_pylist() == [
        {"n": "7", "b": "café", "d": "x", "v": "long view of a text"}
    ]
    assert [reason for reason, _ in reasons(result)] == ["bad_value"]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_a_text_is_one_in_whatever_type(type_, tmp_path, load, photo):
    """As an id, a caption, the name of a file, and the path of an image."""
    (tmp_path / "a.jpg").write_bytes(photo())
    texts = {"key": "k1", "image": "a.jpg", "file_name": "other name.jpg", "text": "a cat"}
    columns = {name: pa.array([text], type_) for name, text in texts.items()}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    result = load(tmp_path / "rows.parquet", index_column="key", produces=TEXT)
    (row,) = result.table.to_pylist()
    assert (row["id"], row["image"], row["image_width"]) == ("k1", photo(), 16)
    assert (row["file_name"], row["text"]) == ("other name.jpg", "a cat")


def test_numbers_in_csv_are_numbers_where_declared(tmp_path, load):
    """Each cell is read as the declared type; what cannot be is a reject, however long."""
    rows = ["1,0.5,True", f"{'9' * 23},x,1", "3,,false", "4.0,1e-1,0", "5.5,1,1"]
    (tmp_path / "rows.csv").write_text("\n".join(["i,f,b", *rows]))
    fields = {"i": "int64", "f": "float32", "b": "bool"}
    result = load(tmp_path / "rows.csv", image_column="", produces=fields)
    assert result.table["i"].to_pylist() == [1, 3, 4]
    assert result.table["f"].to_pylist() == [0.5, None, pytest.approx(0.1)]
    assert result.table["b"].to_pylist() == [True, False, False]
    assert [(r, m.split(": ")[:2]) for r, m in reasons(result)] == [
        ("bad_value", ["rows.csv line 3", "f"]),
        ("bad_value", ["rows.csv line 6", "i"]),
    ]
    result = load(tmp_path / "rows.csv", image_column="", produces={"i": "string"})
    assert result.table["i"].to_pylist() == ["1", "9" * 23, "3", "4.0", "5.5"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_ids_are_told_apart_letter_by_letter(tmp_path, load, kind):
    """`007` and `7` are two ids."""
    keys = ["007", "7", "07", "7"]
    if kind == "csv":
        (tmp_path / "rows.csv").write_text("key,text\n" + "".join(f"{k},x\n" for k in keys))
    else:
        lines = (json.dumps({"key": k, "text": "x"}) for k in keys)
        (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    result = load(tmp_path / f"rows.{kind}", image_column="", index_column="key", produces=TEXT)
    assert result.table["id"].to_pylist() == ["007", "7", "07"]
    assert [reason for reason, _ in reasons(result)] == ["duplicate_id"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": "x"}, {}],
        [{}, {"text": "x"}],
        [{"text": None}] * 2000 + [{"text": "late"}],
        [{"text": "x"}, {"text": None}],
        [{"other": 1}, {"text": "x", "other": "y"}, {"other": [1]}],
    ],
)
def test_nulls_and_late_values(tmp_path, load, rows):
    """A value may be missing first, last, or from most rows; other columns do not matter."""
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = load(tmp_path / "rows.jsonl", image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == [row.get("text") for row in rows]


def test_lists_of_several_lengths(tmp_path, load):
    """An empty list beside a full one, and beside none."""
    rows = [{"tags": []}, {"tags": ["x", "0.10"]}, {}, {"tags": [None, 0.10]}, {"tags": "x"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = {"tags": {"type": "array", "items": {"type": "string"}}}
    result = load(tmp_path / "rows.jsonl", image_column="", produces=fields)
    assert result.table["tags"].to_pylist() == [[], ["x", "0.10"], None, [None, "0.1"]]
    assert [reason for reason, _ in reasons(result)] == ["bad_value"]


def test_every_line_comes_out_or_is_told(tmp_path, load):
    """Lines that are cut, no JSON, no object, or no text are rejects with their numbers."""
    (tmp_path / "rows.csv").write_bytes(
        b'\xef\xbb\xbftext,b\n1,2\n\n3\n4,5,6\n"a ""b""\nc",7\ncaf\xe9,8\n"x"y,9\n10,11\r\n'
    )
    result = load(tmp_path / "rows.csv", image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == ["1", 'a "b"\nc', "10"]
    assert [(r, m.split(":")[0]) for r, m in reasons(result)] == [
        ("bad_line", "rows.csv line 4"),
        ("bad_line", "rows.csv line 5"),
        ("bad_value", "rows.csv line 8"),
        ("bad_line", "rows.csv line 9"),
    ]
    (tmp_path / "rows.jsonl").write_bytes(
        b'{"text": "a"}\n{"text": "b"\n[1]\n\n"x"\n{"text": "\\ud83d"}\n'
        + b"[" * 99999
        + b"\n\xff\n"
    )
    result = load(tmp_path / "rows.jsonl", image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == ["a"]
    assert [(r, m.split(":")[0]) for r, m in reasons(result)] == [
        ("bad_line", "rows.jsonl line 2"),
        ("bad_line", "rows.jsonl line 3"),
        ("bad_line", "rows.jsonl line 5"),
        ("bad_value", "rows.jsonl line 6"),
        ("bad_line", "rows.jsonl line 7"),
        ("bad_line", "rows.jsonl line 8"),
    ]


def test_a_folder_of_tables(tmp_path, load, caplog):
    """Files of several kinds are one split; names tell others, and which is said."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.csv").write_text("text\nfrom csv\n")
    (tmp_path / "d" / "b.jsonl").write_text('{"text": "from jsonl"}\n')
    pq.write_table(pa.table({"text": ["from parquet"]}), tmp_path / "d" / "c.parquet")
    (tmp_path / "d" / "._c.parquet").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "d" / "test.csv").write_text("text\nfor testing\n")
    (tmp_path / "d" / "station_train.csv").write_text("text\nnamed\n")
    caplog.set_level("INFO")
    result = load(tmp_path / "d", image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == ["from csv", "from jsonl", "from parquet", "named"]
    assert "not test (test.csv)" in caplog.text
    result = load(tmp_path / "d", image_column="", produces=TEXT, split="test")
    assert result.table["text"].to_pylist() == ["for testing"]


def test_a_part_without_the_column_is_named(tmp_path, load):
    """Of several files, the one that lacks a column is in the message."""
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"txt": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(InputDataError, match=r"no column 'text' in b\.parquet, while other files"):
        load(tmp_path / "*.parquet", image_column="", produces=TEXT)


def test_images_in_texts_and_newer_types(tmp_path, load, photo):
    """Base64, `data:` URLs, and the binary types of newer writers hold images."""
    encoded = base64.b64encode(photo(1)).decode()
    lines = [
        {"image": encoded},
        {"image": f"data:image/jpeg;base64,{encoded}"},
        {"image": f"data:image/jpeg;name=a,{quote(photo(1))}"},
        {"image": encoded[:-3]},
        {"image": "data:image/svg+xml,%3Csvg/%3E"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = load(tmp_path / "rows.jsonl")
    assert result.table["image"].to_pylist() == [photo(1)] * 3
    assert result.table["file_name"].to_pylist() == [None] * 3
    assert [reason for reason, _ in reasons(result)] == ["not_an_image"] * 2
    size = len(photo(1))
    for kind in (pa.binary_view(), pa.binary(size), pa.large_binary()):
        pq.write_table(pa.table({"image": pa.array([photo(1)], kind)}), tmp_path / "rows.parquet")
        assert load(tmp_path / "rows.parquet").table["image"].to_pylist() == [photo(1)]


def test_pixels_in_json(tmp_path, load):
    """Nested lists of numbers are pixels in a text file, too."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3)).tolist()
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": pixels}))
    assert load(tmp_path / "rows.jsonl").table["image_width"].to_pylist() == [6]


@pytest.mark.parametrize(
    ("dataset", "arguments", "message"),
    [
        ("lists.parquet", {}, "column 'image' is not a column of images, but list<"),
        ("./photos", {}, "./photos: there is no such file or folder; give a folder"),
        ("photos/", {}, "photos/: there is no such file or folder; give a folder"),
        ("", {}, "dataset_name is empty; give a folder, a file, or the id"),
        ("rows.csv", {"index_column": "no"}, "there is no column 'no'. Columns: image, text."),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, load, monkeypatch, dataset, arguments, message):
    """Messages say where, what, and what to do."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"image": [[b"1", b"2"]]}), "lists.parquet")
    (tmp_path / "rows.csv").write_text("image,text\na.jpg,b\n")
    with pytest.raises(FondantError, match=message) as error:
        load(dataset, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_cells_that_are_parted_otherwise(tmp_path, load, sign):
    """A table that a spreadsheet saved with other signs is told as that."""
    (tmp_path / "rows.csv").write_text(f"image{sign}text\na.jpg{sign}b\n")
    told = f"Cells are parted by {sign!r}, it seems; save the table with ','."
    with pytest.raises(InputDataError, match=re.escape(told)):
        load(tmp_path / "rows.csv", produces=TEXT)
    (tmp_path / "rows.csv").rename(tmp_path / "metadata.csv")
    with pytest.raises(InputDataError, match=re.escape(told)):
        load(tmp_path, produces=TEXT)


def test_a_path_as_windows_writes_it(tmp_path, load, photo):
    """It names no file here, and how it would is said."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_bytes(photo(1))
    (tmp_path / "rows.csv").write_text("image\na\\b.jpg\n")
    told = "rows.csv line 2: there is no file a\\b.jpg; write / between folders"
    assert reasons(load(tmp_path / "rows.csv")) == [("file_not_found", told)]


def test_an_empty_index_column_is_none(tmp_path, load):
    """An argument set to nothing on a command line numbers the rows."""
    (tmp_path / "rows.csv").write_text("text\nx\n")
    result = load(tmp_path / "rows.csv", image_column="", index_column="", produces=TEXT)
    assert result.table["id"].to_pylist() == ["0" * 12]


def test_rejects_go_with_the_partition_that_is_being_filled(tmp_path, load, photo):
    """A bad row after the end of a partition is told, though both came in one batch."""
    big = photo(1) + bytes(9 << 20)
    pq.write_table(
        pa.table({"image": [big, big, b"bad", big, big, b"bad"]}), tmp_path / "r.parquet"
    )
    result = load(tmp_path / "r.parquet", batch_rows=6)
    assert len(result.table) == 4
    assert len(result.rejects) == 2
