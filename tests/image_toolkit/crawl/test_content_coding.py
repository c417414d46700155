import asyncio
import gzip
import threading
import zlib
from itertools import count
from types import SimpleNamespace

import pyarrow as pa
import pytest

from image_toolkit.crawl import content_coding
from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.content_coding import ContentDecoder
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.urls import parse_url
from tests.image_toolkit.crawl.conftest import reasons
from tests.image_toolkit.crawl.fault_host import jpeg, reply

MOST = 1 << 20


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


@pytest.mark.parametrize("length", range(131_300, 131_350, 7))
def test_the_last_byte_may_stand_for_many(host, fetch, length):
    """What is to come of a body when all of it is read is waited for."""
    host.canned["/a"] = reply(200, bare(bytes(length)), Content_Encoding="deflate")
    (found,) = fetch(f"{host.url}/a")
    assert reasons([found]) == ["ok"]
    assert found.reply.body == bytes(length)


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
    (found,) = fetch(f"{host.url}/a")
    assert reasons([found]) == ["bad_content_encoding"]  # no timeout, though no body ever comes
    assert "one over the other" in found.error.message


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
    found = reasons(fetch(*bombs, *innocent))
    assert set(found[: len(bombs)]) == {"too_large", "bad_content_encoding"}
    assert found[len(bombs) :] == ["ok"] * len(innocent)


def decode(body, coding, *, most=MOST, then=None):
    """Return what decoding a body gives, with what is held in the budget afterwards."""

    async def run():
        budget = ByteBudget(64 << 20, lambda: None)
        budget.take(len(body))
        decoder = ContentDecoder(budget, most)
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
            for _ in range(5):  # what the thread has told the loop is done in a few rounds of it
                await asyncio.sleep(0)
        decoder.close()
        return outcome, budget._held

    return asyncio.run(run())


def test_the_budget_holds_what_is_there():
    """After decoding, the decoded bytes are counted; after a failure, none."""
    data = jpeg(900, 900)
    assert decode(gzip.compress(data), "gzip") == (data, len(data))
    assert decode(gzip.compress(data)[:-9], "gzip") == ("bad_content_encoding", 0)
    assert decode(BOMBS["gzip"], "gzip") == ("too_large", 0)


def test_decoding_has_a_deadline(monkeypatch):
    """Empty members give no byte, and are ended all the same."""
    looks = count()
    clock = SimpleNamespace(thread_time=lambda: next(looks) / 4)
    monkeypatch.setattr(content_coding, "time", clock)
    assert decode(gzip.compress(b"") * 1000, "gzip") == ("bad_content_encoding", 0)
    assert next(looks) == 1 + 8 + 1  # at the start, in two seconds, and once it is too late


class Held:
    """Decodes to two bytes, and waits after the first one until it is told to go on."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _body):
        """Yield them."""
        yield b"a"
        self.begun.set()
        assert self.go_on.wait(60), "nobody went on meanwhile"
        yield b"b"


@pytest.fixture
def held(monkeypatch):
    """Return a decoder that waits, in the place of gzip's."""
    decoder = Held()
    monkeypatch.setitem(content_coding._DECODERS, "gzip", decoder)
    return decoder


def test_the_loop_goes_on_while_a_body_is_decoded(held):
    """Decoding happens elsewhere: the loop that all hosts share goes on."""

    async def go_on(task):
        assert await asyncio.to_thread(held.begun.wait, 60)
        assert not task.done()
        held.go_on.set()

    assert decode(b"x", "gzip", then=go_on) == (b"ab", 2)


def test_a_body_that_is_given_up_is_given_back(held):
    """Whoever cancels a URL that is being decoded leaves nothing in the budget."""

    async def cancel(task):
        assert await asyncio.to_thread(held.begun.wait, 60)
        task.cancel()
        held.go_on.set()

    assert decode(b"x", "gzip", then=cancel) == ("cancelled", 0)
