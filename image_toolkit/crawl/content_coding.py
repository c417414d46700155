"""Content codings: decoded in separate threads, with limits on bytes and time.

Requests ask for no coding. Hosts that compress anyway use a single one; several stacked codings are
how a few kilobytes become gigabytes, so they are refused. An unknown word, which many object stores
send with images, counts as no coding.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pyarrow as pa

from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply

_THREADS: Final = 2
_PIECE: Final = 64 << 10
_SECONDS: Final = 2.0
_BYTES_PER_SECOND: Final = 16 << 20  # slower than any coding; for long bodies
_GZIP: Final = b"\x1f\x8b"
_WITH_GZIP_HEADER: Final = 31
_WITH_ZLIB_HEADER: Final = 15
_BARE: Final = -15


def coding_of(reply: Reply) -> str | None:
    """Return the content coding of a body, or None.

    Raises:
        FetchError: `bad_content_encoding`, for more than one.
    """
    words = ",".join(reply.values("content-encoding")).lower().split(",")
    codings = [word.strip() for word in words if word.strip() in _DECODERS]
    if len(codings) > 1:
        raise _bad(reply, f"{len(codings)} codings, one over the other: {', '.join(codings[:3])}")
    return codings[0] if codings else None


class ContentDecoder:
    """Decodes bodies for one event loop; their bytes stay counted in the budget."""

    def __init__(self, budget: ByteBudget, most_bytes: int) -> None:
        self._budget = budget
        self._most_bytes = most_bytes
        self._seconds = max(_SECONDS, most_bytes / _BYTES_PER_SECOND)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="content-coding")

    async def decode(self, reply: Reply) -> None:
        """Replace the body of a reply by its decoded form.

        Raises:
            FetchError: `bad_content_encoding`, `too_large` or `no_memory`; the body is then
                dropped.
        """
        coding = coding_of(reply)
        if coding is None or not reply.body:
            return
        loop = asyncio.get_running_loop()
        decoding = loop.run_in_executor(self._threads, self._decode, reply, coding)
        try:
            await asyncio.shield(decoding)
        except asyncio.CancelledError:
            decoding.add_done_callback(partial(self._abandon, reply))
            raise

    def close(self) -> None:
        """End the threads, without waiting for bodies that nobody needs any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _decode(self, reply: Reply, coding: str) -> None:
        encoded, reply.body = reply.body, bytearray()
        try:
            self._fill(reply, _DECODERS[coding](bytes(encoded)))
        except (zlib.error, OSError) as error:
            raise _bad(reply, f"{coding}: {error}") from None
        finally:
            self._budget.give_back(len(encoded))

    def _fill(self, reply: Reply, pieces: Iterator[bytes]) -> None:
        deadline = time.thread_time() + self._seconds
        try:
            for piece in pieces:
                self._check(reply, len(piece), deadline)
                reply.body += piece
        except BaseException:
            self._budget.give_back(len(reply.body))
            reply.body = bytearray()
            raise

    def _check(self, reply: Reply, more: int, deadline: float) -> None:
        """Stop if it takes too long, or if there is no room for more bytes."""
        host = reply.url.host
        if len(reply.body) + more > self._most_bytes:
            message = f"{host}: decoded, over {self._most_bytes} bytes"
            raise FetchError(reason="too_large", message=message)
        if time.thread_time() > deadline:
            raise _bad(reply, f"not decoded within {self._seconds:g} s")
        if not self._budget.take(more):
            message = f"{host}: too many large bodies at once"
            raise FetchError(reason="no_memory", message=message, passing=True)

    def _abandon(self, reply: Reply, decoding: "asyncio.Future[None]") -> None:
        if not decoding.cancelled():
            decoding.exception()  # retrieved, since nobody else will
        self._budget.give_back(len(reply.body))


def _gunzip(body: bytes) -> Iterator[bytes]:
    """Yield the data of all members of a gzip file; anything after the last one is ignored."""
    position = 0
    while position == 0 or body.startswith(_GZIP, position):
        position = yield from _inflate(body, position, _WITH_GZIP_HEADER)


def _undeflate(body: bytes) -> Iterator[bytes]:
    """Yield the data of a `deflate` body, with the zlib header that it should have or without."""
    try:
        zlib.decompressobj(_WITH_ZLIB_HEADER).decompress(body[:_PIECE], 1)
    except zlib.error:
        yield from _inflate(body, 0, _BARE)
    else:
        yield from _inflate(body, 0, _WITH_ZLIB_HEADER)


def _inflate(body: bytes, position: int, wbits: int) -> Generator[bytes, None, int]:
    """Yield the data that begins at `position`, including empty pieces; return where it ends."""
    decoder = zlib.decompressobj(wbits)
    while not decoder.eof:
        rest = body[position : position + _PIECE]
        position += len(rest)
        piece = decoder.decompress(rest, _PIECE)
        if not (rest or piece or decoder.eof):  # the last byte may stand for more than a piece
            msg = "cut short"
            raise zlib.error(msg)
        yield piece
        while (rest := decoder.unconsumed_tail) and not decoder.eof:
            yield decoder.decompress(rest, _PIECE)
    return position - len(decoder.unused_data)


def _stream(codec: str, body: bytes) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
        while piece := stream.read(_PIECE):
            yield piece


_DECODERS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": partial(_stream, "brotli"),
    "zstd": partial(_stream, "zstd"),
}


def _bad(reply: Reply, why: str) -> FetchError:
    message = f"{reply.url.host}: content encoding {why}"
    return FetchError(reason="bad_content_encoding", message=message)
