"""A service that speaks `/knn-service`, and fails as real services do."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler, Any], None]
"""What the service does with a query: it gets the request and its JSON."""


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Answer with a body."""
    handler.send_response(status)
    usual = {"Content_Type": "application/json", "Content_Length": str(len(body))}
    for name, value in {**usual, **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def hits(handler: BaseHTTPRequestHandler, query: Any, rows: int | None = None) -> None:
    """Answer with as many hits as are wanted, or with `rows`; the first is named by the query."""
    first = round(query["embedding_input"][0] * 1000)
    found = [
        {
            "url": f"http://a.example/{first}/{rank}.jpg",
            "caption": "c",
            "id": 1000 * first + rank,
            "similarity": 0.9 - rank / 100,
        }
        for rank in range(query["num_images"] if rows is None else rows)
    ]
    send(handler, 200, json.dumps(found).encode())


def status(code: int, **headers: str) -> Reply:
    """Answer with an error."""
    return lambda handler, _: send(handler, code, b'{"message": "no"}', **headers)


def body(content: bytes, **headers: str) -> Reply:
    """Answer 200 with this body, whatever it is."""
    return lambda handler, _: send(handler, 200, content, **headers)


def for_query(number: int, reply: Reply) -> Reply:
    """Reply so to the query of this number, counted from 0, and with hits to the others."""

    def choose(handler: BaseHTTPRequestHandler, query: Any) -> None:
        asked = round(query["embedding_input"][0] * 1000) - 1
        (reply if asked == number else hits)(handler, query)

    return choose


def truncated(handler: BaseHTTPRequestHandler, _: Any) -> None:
    """Promise more bytes than are sent."""
    send(handler, 200, b'[{"id": 1, "similar', Content_Length="500")
    handler.close_connection = True


def slow(handler: BaseHTTPRequestHandler, query: Any) -> None:
    """Answer, but later than anyone waits."""
    time.sleep(10)
    hits(handler, query)


def hang_up(handler: BaseHTTPRequestHandler, _: Any) -> None:
    """Close the connection without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


class FaultyService:
    """Gives its replies in turn, and the last one for ever; counts the queries and their times.

    Requests of whatever kind whose numbers, from 0, are in `away` are answered with 503.
    """

    def __init__(
        self, replies: Sequence[Reply], names: object = ("small",), away: range = range(0)
    ) -> None:
        self.replies = list(replies)
        self.away = away
        self.requests = 0
        self.names = names
        self.queries: list[Any] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def next_reply(self, query: Any) -> Reply:
        """Note the query, and return what to do with it."""
        with self._lock:
            self.queries.append(query)
            self.times.append(time.monotonic())
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def is_away(self) -> bool:
        """Count a request, and return whether it comes at a bad time."""
        with self._lock:
            self.requests += 1
            return self.requests - 1 in self.away

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the queries under way."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        yield
        with self._lock:
            self._at_once -= 1


@contextmanager
def serving(service: FaultyService) -> Iterator[str]:
    """Serve on loopback, and yield the address."""
    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def do_GET(self) -> None:
            if service.is_away():
                send(self, 503, b"no server is available")
            elif self.path == "/indices-list" and service.names is not None:
                send(self, 200, json.dumps(service.names).encode())
            else:
                send(self, 404, b"<html>not found</html>", Content_Type="text/html")

        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if service.is_away():
                send(self, 503, b"no server is available")
                return
            with service.counted():
                service.next_reply(query)(self, query)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()
