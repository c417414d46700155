"""Quotes out of place, and encodings: no row is made up or passed over in silence."""

import gzip
import json

import pytest

from fondant_spec.errors import InputDataError

TEXT = {"text": "string"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            'x.jpg,"unclosed\ny.jpg,ok\nz.jpg,ok\nw.jpg,"quoted"\nv.jpg,ok',
            "the record that begins on line 2 has a quote out of place on line 5 ",
        ),
        (
            'x.jpg,"first\nsays "hi" here\nlast.jpg,and more"\nv.jpg,ok',
            "the record that begins on line 2 has a quote out of place on line 3 ",
        ),
        (
            'x.jpg,"a "b" c, and d\nlast.jpg,and more"\nv.jpg,ok',
            "line 2 has a quote without another ",
        ),
    ],
)
def test_a_quote_that_may_hide_rows_is_an_error(tmp_path, load, lines, told):
    """Where a record ends is not known, so nothing is made of the lines after it."""
    (tmp_path / "rows.csv").write_text(f"file,text\n{lines}\n")
    with pytest.raises(InputDataError) as error:
        load(tmp_path / "rows.csv", image_column="", produces=TEXT)
    assert str(error.value).startswith(f"rows.csv: {told}")
    assert str(error.value).endswith("; close it, or double it in a text.")


def test_a_record_of_too_many_cells_says_how_far_it_goes(tmp_path, load):
    """A quote that takes the next lines in is told with the last of them."""
    (tmp_path / "rows.csv").write_text('file,text\nx,"a\ny,b\nz,"",c\nw,"d",e\nv,f\n')
    with pytest.raises(InputDataError, match="begins on line 2 has a quote out of place on line 5"):
        load(tmp_path / "rows.csv", image_column="", produces=TEXT)
    (tmp_path / "rows.csv").write_text('file,text\nx,"a\ny,b",c\nv,f\n')
    result = load(tmp_path / "rows.csv", image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == ["f"]
    assert result.rejects["message"].to_pylist() == [
        "rows.csv line 2: it has 3 cells, the first line 2; a quote makes it go on to line 3"
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl", "json", "csv.gz"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, load, kind, encoding):
    """Texts as Windows writes them are the same texts."""
    texts = ["a cat", "é猫\u2028x", "None"]
    lines = {
        "txt": "\r\n".join(texts),
        "jsonl": "\r\n".join(json.dumps({"text": t}, ensure_ascii=False) for t in texts),
        "json": json.dumps([{"text": t} for t in texts]),
    }
    content = lines.get(kind, "\r\n".join(["text", *texts]))
    encoded = ("\ufeff" * encoding.endswith("be") + content).encode(encoding)
    file = tmp_path / "d" / f"rows.{kind}"
    file.parent.mkdir()
    file.write_bytes(gzip.compress(encoded) if kind.endswith("gz") else encoded)
    result = load(file.parent, image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == texts
    assert len(result.rejects) == 0


def test_a_carriage_return_is_in_a_text(tmp_path, load):
    """Only a line feed ends a line of text."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "rows.txt").write_bytes(b"a\rb\r\nc\n")
    result = load(tmp_path / "d", image_column="", produces=TEXT)
    assert result.table["text"].to_pylist() == ["a\rb", "c"]


def test_a_broken_first_line_is_an_error(tmp_path, load):
    """Columns cannot be told without it."""
    (tmp_path / "rows.csv").write_text('"te"xt,b\n1,2\n')
    with pytest.raises(InputDataError, match=r"rows\.csv: the first line, .* is broken: ',' expec"):
        load(tmp_path / "rows.csv", image_column="", produces=TEXT)


def test_half_a_character_is_an_error(tmp_path, load):
    """A file that is cut within a character of two bytes is broken."""
    (tmp_path / "rows.csv").write_bytes("text\nab".encode("utf-16")[:-1])
    with pytest.raises(InputDataError, match=r"rows\.csv: cannot be read: .*truncated data"):
        load(tmp_path / "rows.csv", image_column="", produces=TEXT)
