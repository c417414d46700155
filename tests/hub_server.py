"""A Hugging Face hub on loopback, as far as its client asks for datasets."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"
REFUSALS = {
    "owner/gated": (403, "GatedRepo"),
    "owner/none": (401, "RepoNotFound"),
}


class Hub(BaseHTTPRequestHandler):
    """Serves the folder `owner/photos` of the server, which notes (path, authorization)."""

    protocol_version = "HTTP/1.1"
    server: "HubServer"

    def do_GET(self) -> None:
        """Answer for a repository, a folder of it, or a file."""
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((path, self.headers.get("Authorization")))
        for repository, (status, code) in REFUSALS.items():
            if repository in path:
                self._answer(status, b"{}", {"X-Error-Code": code})
                return
        _, api, rest = path.rpartition("/api/datasets/owner/photos")
        if api and rest.startswith("/tree/"):
            self._tree(rest.split("/", 3)[3] if rest.count("/") > 2 else "")
        elif api and rest in (
            "",
            f"/revision/{self.server.commit}",
            "/revision/v1",
            "/revision/main",
        ):
            self._json({"id": "owner/photos", "sha": self.server.commit, "siblings": []})
        elif api:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            self._file(path.removeprefix(f"/datasets/owner/photos/resolve/{self.server.commit}/"))

    do_HEAD = do_GET  # noqa: N815 - the name is the protocol's

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _tree(self, folder: str) -> None:
        root = self.server.root
        if not (root / folder).is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        recursive = "recursive=true" in self.path.lower()
        entries = (root / folder).rglob("*") if recursive else (root / folder).iterdir()
        self._json(
            [
                {
                    "type": "file" if entry.is_file() else "directory",
                    "oid": hashlib.sha1(entry.name.encode()).hexdigest(),
                    "size": entry.stat().st_size if entry.is_file() else 0,
                    "path": entry.relative_to(root).as_posix(),
                }
                for entry in sorted(entries)
            ],
        )

    def _file(self, name: str) -> None:
        file = self.server.root / name
        if not file.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data, status = file.read_bytes(), 200
        headers = {
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": self.server.commit,
        }
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self._answer(status, data, headers)

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        name = unquote(urlsplit(self.path).path).rpartition("/")[2]
        sent = body[: self.server.breaks.pop(name, len(body))]
        self.wfile.write(sent)
        self.server.sent[name] = self.server.sent.get(name, 0) + len(sent)
        self.close_connection = len(sent) < len(body)


class HubServer(ThreadingHTTPServer):
    """A hub with one dataset, `owner/photos`: the files in `root`.

    `sent` counts the bytes of each file that went out, and `breaks` says of a file after how many
    bytes the line breaks, once.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.root = root
        self.commit = COMMIT
        self.requests: list[tuple[str, str | None]] = []
        self.sent: dict[str, int] = {}
        self.breaks: dict[str, int] = {}


@contextmanager
def serving(root: Path) -> Iterator[HubServer]:
    """Run a hub with the files of a folder."""
    with HubServer(root) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
