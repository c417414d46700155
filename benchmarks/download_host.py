"""A local host of photo-like JPEGs for `download.py`, with as little work per request as possible.

    python benchmarks/download_host.py FOLDER LATENCY_MS

Prints its port. `/<n>.jpg` is image n; `/<fault>/<n>.jpg` has one of the faults of the open web.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path


def response(status: int, body: bytes, kind: str, *, length: int | None = None) -> bytes:
    """Return the bytes of a response."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length or len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Answers:
    """The responses for all paths, prepared once; None for no response at all."""

    def __init__(self, folder: Path) -> None:
        self._images = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
        self._whole = [response(200, image, "image/jpeg") for image in self._images]
        html = b"<!doctype html><title>Gone</title>" * 50
        self._page = response(200, html, "image/jpeg")
        self._missing = response(404, html, "text/html")
        self._broken = response(500, html, "text/html")

    def of(self, path: str) -> bytes | None:
        """Return the response to a GET of `path`."""
        *fault, name = path.strip("/").split("/")
        number = name.removesuffix(".jpg")
        if not number.isdigit():
            return self._missing  # including robots.txt
        image = int(number) % len(self._images)
        if not fault:
            return self._whole[image]
        if fault[0] == "truncated":
            half = self._images[image][: len(self._images[image]) // 2]
            return response(200, half, "image/jpeg")
        known = {"missing": self._missing, "broken": self._broken, "page": self._page}
        return known.get(fault[0])


class Connection(asyncio.Protocol):
    """One client: requests are answered in order, each after the latency."""

    def __init__(self, answers: Answers, latency: float) -> None:
        self._answers = answers
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").split("\r\n")
            answer = self._answers.of(line.split(" ")[1])
            if answer is None:
                continue  # stalled
            close = any(field.lower() == "connection: close" for field in fields)
            self._send_soon(partial(self._send, answer, close=close))

    def _send_soon(self, send: Callable[[], None]) -> None:
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, send)
        else:
            send()

    def _send(self, answer: bytes, *, close: bool) -> None:
        self._transport.write(answer)
        if close:
            self._transport.close()


async def serve(folder: Path, latency: float) -> None:
    """Serve until killed."""
    answers = Answers(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(answers, latency), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]) / 1000))
