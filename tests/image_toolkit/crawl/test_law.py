"""What `requests` fetches, the downloader fetches byte for byte, or its reason says why not.

FUZZ_EXAMPLES=5000 in the environment makes it a long run.
"""

import gzip
import queue
import zlib
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import pytest
import requests
import urllib3
from hypothesis import event, given
from hypothesis import strategies as st

from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.fetcher import Fetcher
from tests.fuzzing import fuzz
from tests.image_toolkit.crawl.conftest import ACCESS, QUICK, TRUSTED
from tests.image_toolkit.crawl.fault_host import FaultHost, jpeg

IMAGE = jpeg()
BODIES = {
    "plain": IMAGE,
    "gzip": gzip.compress(IMAGE),
    "deflate": zlib.compress(IMAGE),
    "both": zlib.compress(gzip.compress(IMAGE)),
    "cut short": gzip.compress(IMAGE)[:-20],
    "text": b"not an image",
    "empty": b"",
}
CODINGS = ["gzip", "x-gzip", "deflate", "GZIP", "br", "zstd", "identity", "UTF-8", "binary", "none"]
CODINGS += ["aws-chunked", "image/jpeg", '"gzip"', "", " ", "compress", "é", ";q=1", "x"]
OTHERS = ["Content-Type", "ETag", "Last-Modified", "X-Cache", "Server", "Set-Cookie"]
DELIBERATE = {
    "bad_content_encoding": "more than one coding, br or zstd, or a body that is cut short",
    "invalid_url": "a Location with a control character or a backslash",
    "url_too_long": "a Location longer than servers accept",
    "x_robots_tag": "a wish of the host",
    "http_203": "a status without the image",
}
"""Why the downloader may refuse what requests takes."""


@dataclass(frozen=True)
class Fixture:
    """A host, and two ways to fetch from it."""

    host: FaultHost
    fetcher: Fetcher
    session: requests.Session

    def ours(self, url):
        """Return what the downloader makes of a URL, and the last path that it asked for."""
        results = queue.SimpleQueue()
        self.fetcher.submit(url, results.put)
        fetched = results.get(timeout=30)
        if fetched.reply is not None:
            self.fetcher.release(len(fetched.reply.body))
        return fetched, self.host.asked[-1]

    def theirs(self, url):
        """Return the body that requests gets with status 200, and the last path; else None."""
        try:
            answer = self.session.get(url, timeout=5)
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError):
            return None
        return (answer.content, self.host.asked[-1]) if answer.status_code == 200 else None


@pytest.fixture(scope="module")
def both():
    """Return a host, a fetcher and a session of requests."""
    fetcher = Fetcher(
        FetchLimits(**{**QUICK, "slow_seconds": 0, "timeout": 4.0}),
        AccessPolicy(**ACCESS),
        addresses=AddressPolicy((TRUSTED,)),
    )
    with FaultHost() as host, requests.Session() as session:
        session.trust_env = False
        fetcher.start()
        yield Fixture(host, fetcher, session)
        fetcher.close()


def spelt(name):
    """Return a header's name in any of the ways that hosts write it."""
    return st.sampled_from([name, name.lower(), name.upper()])


LETTERS = st.characters(codec="latin-1", exclude_categories=["Cc"])
VALUES = st.one_of(
    st.text(LETTERS, max_size=30).map(lambda t: t.encode("latin-1")),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20).map(str.encode),
)
WILD = st.binary(max_size=30).map(lambda b: b.translate(None, b"\0\r\n"))
LOCATIONS = st.tuples(
    st.sampled_from(["/ok/", "../ok/", "/ok/1?"]),
    st.text(st.characters(exclude_characters="./#", exclude_categories=["Cc", "Cs", "Cn"])),
    st.sampled_from(["utf-8", "utf-8", "latin-1", "utf-16-le"]),
)


def located(parts):
    """Return a Location of a path in one of some encodings."""
    prefix, text, encoding = parts
    name = text.encode(encoding, "replace").translate(None, b"\0\r\n./#\x85\x1c\x1d\x1e\x0b\x0c")
    return prefix.encode() + name


@st.composite
def responses(draw, values=VALUES):
    """Generate a response: its status, headers in any order and spelling, and a body."""
    status = draw(st.sampled_from([200, 200, 200, 200, 302, 307, 203, 206, 404, 503]))
    body = BODIES[draw(st.sampled_from([*BODIES, "plain", "plain"]))]
    headers = []
    for _ in range(draw(st.integers(0, 2))):
        words = draw(st.lists(st.sampled_from(CODINGS), min_size=1, max_size=3))
        headers.append((draw(spelt("Content-Encoding")), ", ".join(words).encode("latin-1")))
    names = draw(st.lists(st.sampled_from(OTHERS), unique=True))
    headers += [(draw(spelt(name)), draw(values)) for name in names]
    if status in (302, 307) and draw(st.integers(0, 9)):
        headers.append((draw(spelt("Location")), located(draw(LOCATIONS))))
    if draw(st.booleans()):
        headers.append(("Transfer-Encoding", b"chunked"))
        sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    else:
        headers.append((draw(spelt("Content-Length")), b"%d" % len(body)))
        sent = body
    lines = [b"HTTP/1.1 %d OK" % status]
    for name, value in draw(st.permutations(headers)):
        lines.append(name.encode() + draw(st.sampled_from([b": ", b":", b":  "])) + value)
    return b"\r\n".join([*lines, b"", b""]) + sent


@fuzz(400)
@given(response=responses())
def test_what_requests_fetches_is_fetched(both, response):
    """The same bytes from the same URL, or a reason that is meant."""
    both.host.canned["/from"] = response
    theirs = both.theirs(f"{both.host.url}/from")
    fetched, asked = both.ours(f"{both.host.url}/from")
    event(f"requests: {theirs is not None}, here: {fetched.error and fetched.error.reason}")
    event(f"redirected: {asked != '/from' and theirs is not None}")
    if theirs is None:
        assert fetched.error is None or fetched.error.reason
    elif fetched.error is None:
        assert bytes(fetched.reply.body) == theirs[0]
        assert unquote_to_bytes(asked) == unquote_to_bytes(theirs[1])
    else:
        assert fetched.error.reason in DELIBERATE
        assert fetched.error.message


@fuzz(200)
@given(response=responses(WILD))
def test_whatever_a_host_writes_there_is_an_end(both, response):
    """Headers of any bytes give texts that can be kept, or a reason."""
    both.host.canned["/from"] = response
    fetched, _ = both.ours(f"{both.host.url}/from")
    if fetched.error is not None:
        assert fetched.error.reason not in ("", "defect", "timeout")
    else:
        for name in fetched.reply.head:
            for value in fetched.reply.values(name):
                assert value.encode().decode() == value
