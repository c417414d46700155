"""A local server that speaks the Hugging Face hub's protocol, for one dataset.

Commits are stored in a folder and served from it, so that the same answers serve loading and
publishing.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants

COMMIT = "c0ffee" * 6 + "c0ff"
REPOSITORY = "owner/photos"
LARGE = frozenset({".jpg", ".png", ".webp", ".tar", ".parquet"})
"""Files that go to the store of large files, whatever their size."""


class Hub(BaseHTTPRequestHandler):
    """Answers for `owner/photos`, which is a dataset and a model.

    The server notes (path, authorization) of each request.
    """

    protocol_version = "HTTP/1.1"
    server: "HubServer"

    def do_GET(self) -> None:
        """Answer for a repository, a folder of it, or a file."""
        path = self._path()
        if self._is_refused(path):
            return
        _, api, rest = path.rpartition(f"/api/datasets/{REPOSITORY}")
        if not api:
            _, api, rest = path.rpartition(f"/api/models/{REPOSITORY}")
        revisions = (f"/revision/{self.server.commit}", "/revision/v1", "/revision/main")
        if path == "/api/whoami-v2":
            self._json({"name": "owner"})
        elif api and not self.server.exists:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif api and rest == "/refs":
            self._json(self._refs())
        elif api and rest.startswith("/tree/"):
            self._tree(rest.split("/", 3)[3] if rest.count("/") > 2 else "")
        elif api and (rest == "" or rest in revisions):
            told = {"private": self.server.private, "sha": self.server.commit, "siblings": []}
            self._json({"id": REPOSITORY, **told})
        elif api:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            self._file(path.partition(f"/{REPOSITORY}/resolve/")[2].partition("/")[2])

    do_HEAD = do_GET  # noqa: N815 - the name is the protocol's

    def do_POST(self) -> None:
        """Take what changes a repository."""
        path, body = self._path(), self._body()
        if self._is_refused(path):
            return
        _, _, rest = path.rpartition(f"/api/datasets/{REPOSITORY}/")
        action = rest.partition("/")[0]
        actions: dict[str, Callable[[bytes], None]] = {
            "/api/repos/create": self._create,
            "/api/validate-yaml": self._validate_yaml,
            f"/datasets/{REPOSITORY}.git/info/lfs/objects/batch": self._large_files,
            "preupload": self._preupload,
            "commit": self._commit,
            "branch": lambda _: self._json({}),
            "tag": lambda text: self._tag(json.loads(text)["tag"]),
        }
        actions[path if path in actions else action](body)

    def do_PUT(self) -> None:
        """Take a large file."""
        path, content = self._path(), self._body()
        if self._is_refused(path):
            return
        oid = hashlib.sha256(content).hexdigest()
        assert path == f"/store/{oid}"
        self.server.store[oid] = content
        self._answer(200, b"", {})

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((path, self.headers.get("Authorization")))
        return path

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _is_refused(self, path: str) -> bool:
        """Refuse a request, or drop it, where that is wanted of it."""
        for repository, (status, code) in self.server.refusals.items():
            if repository in path:
                self._answer(status, b"{}", {"X-Error-Code": code})
                return True
        for part, fault in list(self.server.faults.items()):
            if part in path and fault.is_due():
                if fault.status is None:
                    self.close_connection = True
                    self.connection.close()
                else:
                    self._answer(fault.status, b"{}", {"X-Error-Message": "so be it"})
                return True
        return False

    def _refs(self) -> dict[str, Any]:
        tags = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": self.server.commit}
            for name in self.server.tags
        ]
        return {"branches": [], "converts": [], "tags": tags}

    def _tree(self, folder: str) -> None:
        root = self.server.root
        if not (root / folder).is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        recursive = "recursive=true" in self.path.lower()
        entries = (root / folder).rglob("*") if recursive else (root / folder).iterdir()
        self._json([self._entry(entry) for entry in sorted(entries)])

    def _entry(self, entry: Path) -> dict[str, Any]:
        path = entry.relative_to(self.server.root).as_posix()
        if entry.is_dir():
            oid = hashlib.sha1(path.encode()).hexdigest()
            return {"type": "directory", "oid": oid, "size": 0, "path": path}
        content = entry.read_bytes()
        told = {"type": "file", "oid": git_hash(content), "size": len(content), "path": path}
        if path in self.server.large:
            oid = hashlib.sha256(content).hexdigest()
            told["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
        return told

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

    def _create(self, body: bytes) -> None:
        content = json.loads(body)
        status = 409 if self.server.exists else 200
        if not self.server.exists:
            self.server.exists = True
            self.server.private = content["visibility"] == "private"
        self._json({"url": f"{self.server.url}/datasets/{REPOSITORY}"}, status)

    def _validate_yaml(self, body: bytes) -> None:
        front = json.loads(body)["content"].split("---\n")[1]
        assert isinstance(yaml.safe_load(front), dict)
        self._json({"errors": [], "warnings": []})

    def _preupload(self, body: bytes) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if Path(file["path"]).suffix in LARGE else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def _large_files(self, body: bytes) -> None:
        objects = json.loads(body)["objects"]
        for one in objects:
            if one["oid"] not in self.server.store:
                href = f"{self.server.url}/store/{one['oid']}"
                one["actions"] = {"upload": {"href": href, "header": {}}}
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, body: bytes) -> None:
        operations = [json.loads(line) for line in body.splitlines()]
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                self.server.write(value["path"], base64.b64decode(value["content"]))
            elif operation["key"] == "lfsFile":
                self.server.write(value["path"], self.server.store[value["oid"]])
                self.server.large.add(value["path"])
            elif operation["key"] == "deletedFile":
                (self.server.root / value["path"]).unlink()
        self.server.commits.append([op["value"].get("path", "") for op in operations[1:]])
        self.server.commit = hashlib.sha1(body).hexdigest()
        url = f"{self.server.url}/datasets/{REPOSITORY}/commit/{self.server.commit}"
        self._json({"success": True, "commitOid": self.server.commit, "commitUrl": url})

    def _tag(self, name: str) -> None:
        self.server.tags.append(name)
        self._json({})

    def _json(self, content: object, status: int = 200) -> None:
        headers = {"Content-Type": "application/json"}
        self._answer(status, json.dumps(content).encode(), headers)

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


class Fault:
    """What befalls requests: a status, or None to drop the connection; after `after`, `times`."""

    def __init__(self, status: int | None, *, after: int = 0, times: int = 1000) -> None:
        self.status = status
        self._left = [after, times]

    def is_due(self) -> bool:
        """Count a request, and return whether it is to be refused."""
        if self._left[0] > 0:
            self._left[0] -= 1
            return False
        self._left[1] -= 1
        return self._left[1] >= 0


class HubServer(ThreadingHTTPServer):
    """A hub with one dataset, the files in `root`; `faults` are by a part of the path.

    `sent` counts the bytes of each file that went out, and `breaks` says of a file after how many
    bytes the line breaks, once.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.commit = COMMIT
        self.requests: list[tuple[str, str | None]] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        self.faults: dict[str, Fault] = {}
        self.exists = True
        self.private = True
        self.tags: list[str] = []
        self.large: set[str] = set()
        self.store: dict[str, bytes] = {}
        self.commits: list[list[str]] = []
        self.sent: dict[str, int] = {}
        self.breaks: dict[str, int] = {}

    def write(self, path: str, content: bytes) -> None:
        """Put a file into the repository."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)


@contextmanager
def running_hub(root: Path) -> Iterator[HubServer]:
    """Run a hub while a `with` statement lasts."""
    with HubServer(root) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def hub_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Run a hub that this process takes for the hub, with a cache of its own; all below `folder`.

    Its `owner/gated` wants terms to be accepted, and there is no `owner/none`.
    """
    (folder / "repository").mkdir()
    with running_hub(folder / "repository") as server:
        server.refusals = {"owner/gated": (403, "GatedRepo"), "owner/none": (401, "RepoNotFound")}
        for name, value in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_CACHE": str(folder / "home" / "hub"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        yield server


def git_hash(content: bytes) -> str:
    """Return what git calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
