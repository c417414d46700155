import re
from urllib.parse import unquote_to_bytes

import pycurl
import pytest
import requests

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.urls import join, location_text, parse_url
from tests.image_toolkit.crawl.conftest import reasons
from tests.image_toolkit.crawl.fault_host import jpeg


def answer(*headers, status=200, body=None):
    """Return the bytes of a response with these header lines, byte by byte."""
    body = jpeg() if body is None else body
    lines = [b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", b""]) + body


LOCATIONS = {
    "/sp ace é.jpg".encode(): "/sp%20ace%20%C3%A9.jpg",
    "/sp ace é.jpg".encode("latin-1"): "/sp%20ace%20%E9.jpg",
    "/ł.jpg".encode("iso8859-2"): "/%B3.jpg",
    "/画像.jpg".encode(): "/%E7%94%BB%E5%83%8F.jpg",
    "/画像.jpg".encode("gbk"): "/%BB%AD%CF%F1.jpg",
    "/?q=é#ü".encode(): "/?q=%C3%A9",
    b"/caf%C3%A9.jpg": "/caf%C3%A9.jpg",
    b"/a\xa0": "/a%A0",
    b"/a\xc2\x85b\xe2\x80\xa8c": "/a%C2%85b%E2%80%A8c",
    b" /a\t": "/a",
}


def as_libcurl(url):
    """Return the status that libcurl comes to, left to follow redirects by itself."""
    curl = pycurl.Curl()
    for option, value in (
        (pycurl.URL, url),
        (pycurl.FOLLOWLOCATION, 1),
        (pycurl.PROXY, ""),
        (pycurl.WRITEFUNCTION, len),
    ):
        curl.setopt(option, value)
    curl.perform()
    return curl.getinfo(pycurl.RESPONSE_CODE)


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_bytes_of_a_location_are_those_of_the_request(host, fetch, location):
    """A Location in whatever encoding leads to the URL that its bytes are, as with curl."""
    path = LOCATIONS[location]
    host.canned["/from"] = answer(b"Location: " + location, status=302)
    for spelt in (path, re.sub("%..", lambda escape: escape[0].lower(), path)):
        host.canned[spelt] = answer()
    assert reasons(fetch(f"{host.url}/from")) == ["ok"]
    assert host.hits[path] == 1
    assert as_libcurl(f"{host.url}/from") == 200
    ours, theirs = (unquote_to_bytes(asked) for asked in host.asked if asked != "/from")
    assert ours == theirs


def test_requests_asks_for_the_same(host, fetch):
    """The library that most people try a URL with is led to the same place."""
    location = "/sp ace é.jpg".encode()
    host.canned["/from"] = answer(b"Location: " + location, status=302)
    host.canned[LOCATIONS[location]] = answer()
    fetch(f"{host.url}/from")
    session = requests.Session()
    session.trust_env = False
    assert session.get(f"{host.url}/from", timeout=10).content == jpeg()
    assert host.hits[LOCATIONS[location]] == 2


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://bücher.example/ü".encode(), "http://xn--bcher-kva.example/%C3%BC"),
        ("//bücher.example".encode(), "http://xn--bcher-kva.example/"),
        ("HTTP://bücher.example?ü".encode(), "http://xn--bcher-kva.example/?%C3%BC"),
    ],
)
def test_a_name_in_a_location_is_a_name(location, expected):
    """A host with letters of another script is asked under its ASCII name."""
    assert join(parse_url("http://example.org/"), location_text(location)).text == expected


@pytest.mark.parametrize("location", [b"http://b\xfccher.example/", b"http://a\xa0b/", b"//\xff"])
def test_a_name_that_is_no_text_is_refused(location):
    """A host whose bytes are no UTF-8 is no name."""
    with pytest.raises(FetchError) as caught:
        join(parse_url("http://example.org/"), location_text(location))
    assert caught.value.reason == "invalid_url"


def test_a_redirect_to_nowhere_is_a_status(host, fetch):
    """A redirect that does not say where to is no redirect, and asked for once."""
    host.canned["/from"] = answer(b"Location:", status=302)
    assert reasons(fetch(f"{host.url}/from")) == ["http_302"]
    assert host.hits["/from"] == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"abc"', '"abc"'),
        ("«é»".encode(), "«é»"),
        ("«é»".encode("latin-1"), "«é»"),
        (b"\xa0a\x85", "\xa0a\x85"),
        (bytes(range(128, 256)), bytes(range(128, 256)).decode("latin-1")),
    ],
)
def test_any_header_is_a_text(host, fetch, value, expected):
    """Headers in any bytes are text: UTF-8 where they are that, else Latin-1."""
    names = (b"ETag", b"Last-Modified", b"Content-Type", b"X-\xc3\xa9", b"Retry-After")
    host.canned["/a"] = answer(*(name + b": " + value for name in names))
    (found,) = fetch(f"{host.url}/a")
    assert [found.reply.header(n) for n in ("etag", "last-modified", "x-é")] == [expected] * 3


def test_a_folded_header_is_one(host, fetch):
    """What a host reserves on a second line of a header is reserved."""
    host.canned["/a"] = answer(b"X-Robots-Tag: all,", b"\tnoai")
    assert reasons(fetch(f"{host.url}/a")) == ["x_robots_tag"]


def test_the_last_head_counts():
    """What comes before another status line, an interim reply or a proxy's, is forgotten."""
    reply = Reply(parse_url("http://example.org/"))
    first = [b"HTTP/1.1 103 Early Hints\r\n", b"Location: /a\r\n", b"\r\n"]
    assert [reply.take_line(line) for line in first] == [False] * 3
    last = [b"HTTP/2 200\r\n", b" stray\r\n", b"ETag: b\r\n", b"\r\n"]
    assert [reply.take_line(line) for line in last] == [False, False, False, True]
    assert [reply.status, reply.http_version, reply.location] == [200, "2", None]
    assert reply.header("etag") == "b"
