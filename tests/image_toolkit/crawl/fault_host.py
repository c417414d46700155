"""A host that misbehaves in every way that a path can name."""

import asyncio
import gzip
import io
import itertools
import re
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


def jpeg(width=96, height=64, colour=(200, 30, 30)):
    """Return a JPEG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "JPEG")
    return file.getvalue()


def png_that_claims(width, height):
    """Return a PNG of a few bytes whose header promises more."""
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def reply(status, body=b"", **headers):
    """Return the bytes of a response; `_` in a header's name stands for a hyphen."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {headers.pop('length', len(body))}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


STEADY = {
    "ok": reply(200, jpeg(), ETag='"abc"', Content_Type="image/jpeg"),
    "gzip": reply(200, gzip.compress(jpeg()), Content_Encoding="gzip"),
    "gzip-bomb": reply(200, gzip.compress(bytes(64 << 20)), Content_Encoding="gzip"),
    "huge": reply(200, bytes(1000), length=10 << 30),
    "short": reply(200, jpeg(300, 300)[:700]),
    "png-bomb": reply(200, png_that_claims(60_000, 60_000)),
    "megapixels": reply(200, png_that_claims(20_000, 10_000)),
    "one-pixel": reply(200, jpeg(1, 1)),
    "html": reply(200, b"<!doctype html><p>Gone", Content_Type="image/jpeg"),
    "svg": reply(200, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "nothing": reply(200),
}
"""Answers that are the same each time, by the first part of the path."""


@dataclass(frozen=True)
class Request:
    """A path such as `/flaky/2/name?query`: its first part, the second, the query; how often.

    `active` is how many requests are being answered.
    """

    name: str
    detail: str
    query: str
    times: int
    active: Callable[[], int]


async def slow(request, writer):
    """`/slow/<ms>`: an image after a while."""
    await asyncio.sleep(int(request.detail) / 1000)
    writer.write(STEADY["ok"])


async def size(request, writer):
    """`/size/<width>x<height>`: an image of that size."""
    writer.write(reply(200, jpeg(*map(int, request.detail.split("x")))))


async def drip(_request, writer):
    """Send ten bytes a second, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"\xff")
        await writer.drain()
        await asyncio.sleep(0.1)


async def silence(_request, _writer):
    """Say nothing."""
    await asyncio.sleep(60)


async def endless(_request, writer):
    """Send as fast as it goes, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        await writer.drain()


async def together(request, writer):
    """`/together/<n>`: half a megabyte once n requests wait for theirs, and then nothing."""
    while request.active() < int(request.detail):  # noqa: ASYNC110 - a count, not an event
        await asyncio.sleep(0.01)
    writer.write(reply(200, bytes(500_000), length=1_000_000))
    await asyncio.sleep(60)


async def headers(_request, writer):
    """Never end the headers."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        writer.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))
        await writer.drain()


async def cut(_request, writer):
    """Close before the announced length."""
    writer.write(reply(200, jpeg()[:300], length=len(jpeg())))
    writer.close()


async def reset(_request, writer):
    """Reset the connection in mid-body."""
    writer.write(reply(200, bytes(1000), length=9000))
    await writer.drain()
    now = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    writer.transport.abort()


async def garbage(_request, writer):
    """Speak no HTTP."""
    writer.write(b"\x00\x01 no HTTP at all\r\n\r\n")
    writer.close()


async def loop(request, writer):
    """Redirect for ever."""
    writer.write(reply(302, Location=f"/loop/{int(request.detail or 0) + 1}"))


async def to(request, writer):
    """`/to/?<url>`: redirect there."""
    writer.write(reply(302, Location=request.query))


async def status(request, writer):
    """`/status/<n>?<seconds>`: with Retry-After if seconds are given."""
    wait = {"Retry_After": request.query} if request.query else {}
    writer.write(reply(int(request.detail), b"<p>error page", **wait))


async def flaky(request, writer):
    """`/flaky/<n>/<name>`: status 503 so many times, then an image."""
    writer.write(reply(503) if request.times <= int(request.detail) else STEADY["ok"])


async def header(request, writer):
    """`/header/?<name>=<value>`: an image with that header, `+` for a space."""
    name, _, value = request.query.partition("=")
    writer.write(reply(200, jpeg(), **{name: value.replace("+", " ")}))


CHANGING = {
    f.__name__: f
    for f in (
        slow, size, drip, silence, endless, together, headers, cut, reset, garbage, loop, to,
        status, flaky, header,
    )
}  # fmt: skip


class FaultHost:
    """Serves on 127.0.0.1, and on 127.0.0.2, which stands for a network that is off limits.

    `canned` holds the answers to single paths, byte by byte, and `robots` that to robots.txt, which
    is called with the Host header if it can be.
    """

    def __init__(self, ssl_context=None):
        self.hits = Counter()
        self.signed = set()
        self.reached = Counter()
        self.agents = set()
        self.connections = self.active = self.most_active = 0
        self.asked = []
        self.times = []
        self.finished = []
        self.robots = reply(404)
        self.heads = 0
        self.canned = {}
        self._ssl = ssl_context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        scheme = "https" if self._ssl else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self):
        allowed = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self._ssl, backlog=1024
        )
        port = allowed.sockets[0].getsockname()[1]
        off_limits = await asyncio.start_server(self._serve, "127.0.0.2", port, ssl=self._ssl)
        self._servers = [allowed, off_limits]
        return port

    async def _close(self):
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.connections += 1
        self.reached[writer.get_extra_info("sockname")[0]] += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.decode("latin-1"), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, head, writer):
        path = head.split(" ")[1]  # absolute when asked as a proxy
        self.agents.update(h[12:] for h in head.split("\r\n") if h.startswith("User-Agent: "))
        self.signed |= set(re.findall(r"(?im)^proxy-authorization: (.*)\r$", head))
        self.hits[path] += 1
        self.heads += head.startswith("HEAD ")
        self.asked.append(path)
        self.times.append(self._loop.time())
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            if path == "/robots.txt":
                name = re.search(r"(?im)^host: *(\S+)", head)[1]
                writer.write(self.robots(name) if callable(self.robots) else self.robots)
                return
            parts, _, query = path.removeprefix("http://example.invalid").partition("?")
            name, detail = [*parts.split("/")[1:3], ""][:2]
            if path in self.canned:
                writer.write(self.canned[path])
            elif name in STEADY:
                writer.write(STEADY[name])
            else:
                times, active = self.hits[path], lambda: self.active
                await CHANGING[name](Request(name, detail, query, times, active), writer)
        finally:
            self.active -= 1
            self.finished.append(path)
