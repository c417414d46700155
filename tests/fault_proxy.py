"""A proxy on loopback that disturbs traffic, to make an HTTP server look as over a bad network."""

import http.client
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Fault = str
"""`busy`: a 503; `reset`: cut off before it is passed on; `lost`: passed on, the answer cut off."""


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to a server, but those for which `choose` names a fault."""

    daemon_threads = True

    def __init__(self, target: str, choose: Callable[[str, str], Fault | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: list[Fault] = []
        self._choose, self._lock = choose, threading.Lock()

    def fault(self, method: str, path: str) -> Fault | None:
        """Return what is to happen to a request."""
        with self._lock:
            fault = self._choose(method, path)
            self.faults += [fault] if fault else []
            return fault

    def handle_error(self, *_where: object) -> None:
        """Say nothing of a client that goes away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command, self.path)
        if fault == "busy":
            self._answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        if fault == "reset":
            self._cut_off()
            return
        target = http.client.HTTPConnection(self.server.target, timeout=60)
        target.request(self.command, self.path, body, dict(self.headers))
        answer = target.getresponse()
        content = answer.read()
        target.close()
        if fault == "lost":
            self._cut_off()
            return
        self._answer(answer.status, dict(answer.getheaders()), content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request  # noqa: N815 - the protocol's

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        length = str(len(content))
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
            elif name.lower() == "content-length":
                length = value  # of what a HEAD tells of
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    def _cut_off(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_words: object) -> None:
        """Print nothing."""


@contextmanager
def disturbing(target: str, choose: Callable[[str, str], Fault | None]) -> Iterator[FaultProxy]:
    """Run a proxy before a server."""
    proxy = FaultProxy(target, choose)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


def seeded(seed: int, share: float) -> Callable[[str, str], Fault | None]:
    """Choose a fault for a share of the requests, always the same of a sequence."""
    chance = random.Random(seed)

    def choose(_method: str, _path: str) -> Fault | None:
        disturbed = chance.random() < share
        kind = chance.choice(["busy", "reset", "lost"])
        return kind if disturbed else None

    return choose
