import asyncio
import gzip
import time
import zlib

import pyarrow as pa
import pytest

from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.content_coding import ContentDecoder
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.urls import parse_url
from tests.image_toolkit.crawl.fault_host import jpeg, reply

MOST = 1 << 20


def reasons(fetched):
    """Return why each URL failed, or ok."""
    return [f.error.reason if f.error else "ok" for f in fetched]


def bare(data):
    """Return a deflate stream without a header."""
    return zlib.compress(data, wbits=-15)


def compress(codec):
    """Return a function that compresses with one of Arrow's codecs."""
    return lambda data: pa.compress(data, codec=codec, asbytes=True)


UNKNOWN = """UTF-8|binary|aws-chunked|image/jpeg|none||identity|"gzip"|'utf-8'|gzipped|compress|é|,|
aws-chunked,identity|8bit|null|*""".replace("\n", "").split("|")


@pytest.mark.parametrize("coding", UNKNOWN)
def test_a_word_that_is_no_coding_means_none(host, fetch, coding):
    """Stores and caches name what is no coding; the body is then what it is."""
    host.canned["/a"] = reply(200, jpeg(), Content_Encoding=coding)
    (found,) = fetch(f"{host.url}/a")
    assert reasons([found]) == ["ok"]
    assert found.reply.body == jpeg()


CODINGS = {
    "gzip": gzip.compress,
    "GZip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": bare,
    "br": compress("brotli"),
    "zstd": compress("zstd"),
    "gzip, identity": gzip.compress,
    "aws-chunked, gzip": gzip.compress,
    "gzip,": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]) + b"\0\0",
}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coding_is_undone(host, fetch, coding):
    """What is compressed although nobody asked for it is understood, byte by byte."""
    data = jpeg(900, 900)
    host.canned["/a"] = reply(200, CODINGS[coding](data), Content_Encoding=coding)
    (found,) = fetch(f"{host.url}/a")
    assert reasons([found]) == ["ok"]
    assert found.reply.body == data


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda _d: jpeg(), lambda d: d[:9] + d[30:]])
def test_a_body_that_is_not_in_its_coding_is_refused(host, fetch, coding, damage):
    """A coded body that is cut short or damaged gives no image, and no half of one."""
    host.canned["/a"] = reply(200, damage(CODINGS[coding](jpeg(900, 900))), Content_Encoding=coding)
    assert reasons(fetch(f"{host.url}/a")) == ["bad_content_encoding"]


@pytest.mark.parametrize(
    "headers",
    [
        ["deflate, deflate, deflate"],
        ["gzip,gzip"],
        ["gzip", "br"],
        ["identity, zstd, gzip"],
    ],
)
def test_codings_over_codings_are_refused_at_the_head(host, fetch, headers):
    """Two codings, in one header or in several, are refused before their body has come."""
    lines = "".join(f"Content-Encoding: {value}\r\n" for value in headers)
    host.canned["/a"] = f"HTTP/1.1 200 X\r\nContent-Length: 9\r\n{lines}\r\n".encode()
    start = time.monotonic()
    (found,) = fetch(f"{host.url}/a")
    assert reasons([found]) == ["bad_content_encoding"]
    assert "one over the other" in found.error.message
    assert time.monotonic() - start < 1  # the body never comes


@pytest.mark.parametrize("status", [302, 404])
def test_the_coding_of_a_body_that_does_not_matter_is_ignored(host, fetch, status):
    """An error page or a redirect may name whatever it likes."""
    host.canned["/a"] = reply(status, b"x", Content_Encoding="gzip, gzip", Location="/ok/1")
    assert reasons(fetch(f"{host.url}/a")) == ["ok" if status == 302 else "http_404"]


BOMBS = {
    "gzip": gzip.compress(bytes(256 << 20), 9),
    "deflate": zlib.compress(bytes(256 << 20), 9),
    "br": pa.compress(bytes(256 << 20), codec="brotli", asbytes=True),
    "zstd": pa.compress(bytes(256 << 20), codec="zstd", asbytes=True),
}


def bomb_of_nothing(size):
    """Return a few bytes that become `size` bytes of empty blocks, which become nothing."""
    empty = b"\x00\x00\x00\xff\xff" * (1 << 18)
    outer = zlib.compressobj(9)
    blocks = [outer.compress(b"\x78\x9c")]
    blocks += [outer.compress(empty) for _ in range(size // len(empty))]
    return zlib.compress(b"".join([*blocks, outer.flush()]), 9)


def test_bombs_end_at_the_limit_and_keep_nobody_waiting(host, fetch):
    """Bodies that unpack to a quarter of a gigabyte each are ended; another host is not held up."""
    for coding, bomb in BOMBS.items():
        host.canned[f"/{coding}"] = reply(200, bomb, Content_Encoding=coding)
    host.canned["/triple"] = reply(
        200, bomb_of_nothing(64 << 20), Content_Encoding="deflate, deflate, deflate"
    )
    bombs = [f"{host.url}/{coding}" for coding in [*BOMBS, "triple"]] * 4
    innocent = [f"http://good.test:{host.port}/slow/50/{n}" for n in range(20)]
    start = time.monotonic()
    found = reasons(fetch(*bombs, *innocent))
    assert set(found[: len(bombs)]) == {"too_large", "bad_content_encoding"}
    assert found[len(bombs) :] == ["ok"] * len(innocent)
    assert time.monotonic() - start < 5


def decode(body, coding, *, most=MOST, seconds=None, then=None):
    """Return what decoding a body gives, with what is held in the budget afterwards."""

    async def run():
        budget = ByteBudget(64 << 20, lambda: None)
        budget.take(len(body))
        decoder = ContentDecoder(budget, most)
        decoder._seconds = seconds or decoder._seconds
        answer = Reply(parse_url("http://example.org/"), 200, body=bytearray(body))
        answer.head["content-encoding"] = [coding.encode()]
        task = asyncio.create_task(decoder.decode(answer))
        if then is not None:
            await then(task)
        try:
            await task
            outcome = bytes(answer.body)
        except FetchError as error:
            outcome = error.reason
        except asyncio.CancelledError:
            outcome = "cancelled"
            decoder._threads.shutdown(wait=True)
            await asyncio.sleep(0.05)
        decoder.close()
        return outcome, budget._held

    return asyncio.run(run())


def test_the_budget_holds_what_is_there():
    """After decoding, the decoded bytes are counted; after a failure, none."""
    data = jpeg(900, 900)
    assert decode(gzip.compress(data), "gzip") == (data, len(data))
    assert decode(gzip.compress(data)[:-9], "gzip") == ("bad_content_encoding", 0)
    assert decode(BOMBS["gzip"], "gzip") == ("too_large", 0)


def test_decoding_has_a_deadline():
    """A million empty members give no byte, and are ended all the same."""
    start = time.monotonic()
    body = gzip.compress(b"") * 1_000_000
    assert decode(body, "gzip", seconds=0.2) == ("bad_content_encoding", 0)
    assert time.monotonic() - start < 3


def test_the_loop_goes_on_while_a_body_is_decoded():
    """Decoding happens elsewhere: the loop that all hosts share hardly notices."""
    waits = []

    async def watch(task):
        while not task.done():
            start = time.monotonic()
            await asyncio.sleep(0.01)
            waits.append(time.monotonic() - start)

    body = gzip.compress(b"") * 300_000
    decode(body, "gzip", seconds=1.0, then=watch)
    assert len(waits) > 5
    assert max(waits) < 0.5


def test_a_body_that_is_given_up_is_given_back():
    """Whoever cancels a URL that is being decoded leaves nothing in the budget."""

    async def cancel(task):
        await asyncio.sleep(0.05)
        task.cancel()

    body = gzip.compress(b"") * 100_000
    assert decode(body, "gzip", seconds=0.3, then=cancel) == ("cancelled", 0)
