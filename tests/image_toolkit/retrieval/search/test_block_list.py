"""Block lists: their content, what they block, and what is refused."""

from pathlib import Path

import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.block_list import BlockList, read_block_list


def test_block_list_file(tmp_path: Path) -> None:
    """A block list holds URLs, hosts and ids, with comments and blank lines."""
    file = tmp_path / "blocked.txt"
    file.write_text(
        "# asked to be left out\n\nhttp://A.example:80/x.jpg\n*.B.example  # all of it\n"
        "c.example.\n42\n"
    )

    assert read_block_list(file) == BlockList(
        urls=frozenset({"http://a.example/x.jpg"}),
        hosts=frozenset({"b.example", "c.example"}),
        ids=frozenset({42}),
    )


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("münchen.de", "https://xn--mnchen-3ya.de/a.jpg"),
        ("xn--mnchen-3ya.de", "https://bilder.MÜNCHEN.de/a.jpg"),
        ("https://münchen.de/a.jpg", "https://xn--mnchen-3ya.de/a.jpg"),
        ("https://xn--mnchen-3ya.de/a.jpg", "https://München.de:443/a.jpg#x"),
        ("a.example", "http://user@img.a.example.:8080/x"),
        ("http://a.example/x", "http://a.example./x"),
        ("[2001:DB8::1]", "http://[2001:db8:0::1]/x"),
        ("b.example", "http://-odd.b.example/x"),
        ("10.0.0.1", "http://10.0.0.1/x"),
        ("http://☃.net/a.jpg", "http://☃.NET:80/a.jpg#x"),
        ("☃.NET.", "https://img.☃.net/a.jpg"),
        ("*.☃.net", "https://img.☃.net/a.jpg"),
        ("foo_bär.example", "http://FOO_BÄR.example/a.jpg"),
        ("👩\u200d💻.example", "http://👩\u200d💻.example/a.jpg"),
        ("under_score.example", "http://under_score.example/x"),
    ],
)
def test_one_name_however_it_is_written(tmp_path: Path, entry: str, url: str) -> None:
    """Names are compared as the DNS has them, on both sides."""
    file = tmp_path / "blocked.txt"
    file.write_text(f"\ufeff{entry}\n", encoding="utf-8")

    assert read_block_list(file).blocks(url, 0)


@pytest.mark.parametrize(
    "entry",
    [
        "b.example/path",
        "two words",
        "example.com:8080",
        "bad.org,",
        '"quoted.net"',
        "'quoted.net'",
        "*bad.org",
        "a..example",
        "-",
        "a.example;b.example",
        "<b.example>",
        "https://",
        'https://"quoted.net"/x.jpg',
        "https://a.example:port/x.jpg",
        "a\u3000b.example",
        "☃.net:8080",
        "☃.net/path",
        "☃ .net",
        "☃\u3000.net",
        "☃.net,",
        "☃.net\uff0c",
        '"☃.net"',
        "“münchen.de”",
        "\u2018münchen.de\u2019",
        "«münchen.de»",
        "*☃.net",
        "<☃.net>",
        "☃..net",
        ".☃.net",
        "☃.net;münchen.de",
        "https://“münchen.de”/x.jpg",
        "https://☃.net:port/x.jpg",
        "https://☃.net,/x.jpg",
    ],
)
def test_lines_that_would_block_nothing(tmp_path: Path, entry: str) -> None:
    """They are refused with the number of the line."""
    file = tmp_path / "blocked.txt"
    file.write_text(f"ok.example\n{entry}\n", encoding="utf-8")

    with pytest.raises(InputDataError) as error:
        read_block_list(file)

    assert str(error.value).startswith(f"{file}, line 2: {entry!r} would block nothing: ")


def test_what_to_do_is_said(tmp_path: Path) -> None:
    """A host is a name alone."""
    file = tmp_path / "blocked.txt"
    file.write_text("example.com:8080")

    with pytest.raises(InputDataError, match=r"Write a host as example.com, without a port"):
        read_block_list(file)


def test_a_block_list_that_is_not_there(tmp_path: Path) -> None:
    """A missing block list stops the step, rather than blocking nothing."""
    with pytest.raises(InputDataError, match="block_list: cannot read"):
        read_block_list(tmp_path / "missing.txt")
