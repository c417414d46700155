"""Finding a model's files: in local folders, and on a hub that is a real local server."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.models.runtime.hub import find_model

COMMIT, CONVERTED = "1" * 40, "2" * 40
CONFIG = b'{"model_type": "clip"}'
FILES = {
    "good/safe": {"config.json": CONFIG, "model.safetensors": b"weights", "evil.py": b"!"},
    "good/pickled": {"config.json": CONFIG, "pytorch_model.bin": b"pickle"},
    "good/never-converted": {"config.json": CONFIG, "pytorch_model.bin": b"pickle"},
}
PULLS = {"good/pickled": "refs/pr/4"}
REVISIONS = {
    "unknown revision": ("good/safe", "v9"),
    "pickled revision": ("good/pickled", COMMIT),
    "converted revision": ("good/pickled", CONVERTED),
    "never converted revision": ("good/never-converted", COMMIT),
}
FAULTS = {
    "bad/gated": (403, "GatedRepo"),
    "bad/missing": (404, "RepoNotFound"),
    "bad/broken": (500, ""),
}
ASK = """
import json, sys
from fondant_spec.errors import InputDataError
from image_toolkit.models.runtime.hub import find_model
told = {}
for case, (name, revision) in json.loads(sys.argv[1]).items():
    try:
        found = find_model(name, revision)
        told[case] = [found.name, found.revision, sorted(p.name for p in found.folder.iterdir())]
    except InputDataError as error:
        told[case] = str(error)
print(json.dumps(told))
"""


class Hub(BaseHTTPRequestHandler):
    """A hub with three repositories; of one, a bot has converted the weights."""

    def do_HEAD(self):
        """Answer as to GET, without the body."""
        self._answer(body=False)

    def do_GET(self):
        """Answer what the client library asks."""
        self._answer(body=True)

    def _answer(self, *, body):
        path = self.path.split("?")[0]
        name = "/".join(path.removeprefix("/api/models/").lstrip("/").split("/")[:2])
        if name in FAULTS:
            status, code = FAULTS[name]
            self._send(status, b"{}", {"X-Error-Code": code} if code else {}, body=body)
        elif "/discussions" in path:
            number = PULLS.get(name, "refs/pr/0").rsplit("/")[-1]
            pull = {
                "num": int(number),
                "title": "Adding safetensors",
                "author": {"name": "SFconvertbot"},
                "status": "open",
                "isPullRequest": True,
                "createdAt": "2023-01-01T00:00:00.000Z",
                "repo": {"name": name, "type": "model"},
            }
            listed = [pull] if name in PULLS else []
            page = {"discussions": listed, "count": len(listed), "start": 0}
            self._send(200, json.dumps(page).encode(), {}, body=body)
        elif "/tree/" in path:
            files = _files(name, path.split("/tree/")[1])
            listed = [
                {"type": "file", "path": file, "size": len(content), "oid": "0"}
                for file, content in files.items()
            ]
            self._send(200, json.dumps(listed).encode(), {}, body=body)
        elif "/revision/" in path:
            self._revision(name, path.split("/revision/")[1].replace("%2F", "/"), body=body)
        elif "/resolve/" in path:
            commit, file = path.split("/resolve/")[1].split("/", 1)
            headers = {"ETag": f'"{commit[0]}-{file}"', "X-Repo-Commit": commit}
            self._send(200, _files(name, commit)[file], headers, body=body)
        else:
            self._send(404, b"{}", {}, body=body)

    def _revision(self, name, revision, *, body):
        known = {"main": COMMIT, COMMIT: COMMIT, PULLS.get(name): CONVERTED, CONVERTED: CONVERTED}
        commit = known.get(revision)
        if commit is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            return
        listed = [{"rfilename": file} for file in _files(name, commit)]
        told = {"id": name, "sha": commit, "siblings": listed}
        self._send(200, json.dumps(told).encode(), {}, body=body)

    def _send(self, status, content, headers, *, body):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


def _files(name, commit):
    extra = {"model.safetensors": b"converted"} if commit == CONVERTED else {}
    return FILES[name] | extra


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return what `find_model` says of all models of the hub, asked in a process of its own."""
    asked = {name: (name, None) for name in (*FILES, *FAULTS)} | REVISIONS
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path_factory.mktemp("hub")),
        }
        done = subprocess.run(
            [sys.executable, "-c", ASK, json.dumps(asked)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        server.shutdown()
    return json.loads(done.stdout.splitlines()[-1])


def test_only_safe_files_are_fetched(told):
    """Of a repository only configuration and safetensors come, and the commit is the revision."""
    assert told["good/safe"] == ["good/safe", COMMIT, ["config.json", "model.safetensors"]]


def test_converted_weights_are_found(told):
    """Where only pickled weights were published, the hub's own safe conversion is taken."""
    converted = ["good/pickled", CONVERTED, ["config.json", "model.safetensors"]]
    assert told["good/pickled"] == told["converted revision"] == converted


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("good/never-converted", "has no safetensors weights. Pickled weights can run code when"),
        ("bad/gated", "it is gated: accept its terms on the hub, then set HF_TOKEN to your token."),
        ("bad/missing", "the hub has no such model, or it is private: check the id, or set"),
        ("bad/broken", "the hub failed: "),
        ("unknown revision", "the hub has no revision 'v9' of it."),
        ("pickled revision", "converted it, at a time of its own, to the revision 'refs/pr/4': "),
        ("never converted revision", "has no safetensors weights. Pickled weights can run code"),
    ],
)
def test_failures_say_what_to_do(told, name, message):
    """Whatever the hub says is told in one line."""
    assert message in told[name]
    assert "\n" not in told[name]


def model_folder(folder: Path, *files: str) -> Path:
    """Make a folder with these files."""
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(CONFIG)
    return folder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "Model '{0}': {0} has no config.json, so it is no transformers model."),
        (
            ["config.json", "pytorch_model.bin"],
            (
                "Model '{0}' has no safetensors weights (pytorch_model.bin). Pickled weights can "
                "run code when they are loaded, so they are refused: convert it "
                "(`save_pretrained` writes safetensors), or choose another model."
            ),
        ),
    ],
    ids=["empty", "pickled"],
)
def test_unsafe_folders_are_refused(files, message, tmp_path):
    """A folder that is no model, or that only has pickled weights, is refused with what to do."""
    folder = model_folder(tmp_path / "model", *files)
    with pytest.raises(InputDataError) as caught:
        find_model(str(folder))
    assert str(caught.value) == message.format(folder)


def test_the_revision_of_a_folder_is_its_content(tmp_path):
    """Copies of a folder have the same name and revision; other weights have another."""
    names = "config.json", "model.safetensors"
    first = find_model(str(model_folder(tmp_path / "a", *names)))
    second = find_model(str(model_folder(tmp_path / "b", *names)))
    assert first.revision == second.revision
    (tmp_path / "b" / "model.safetensors").write_bytes(b"other")
    assert find_model(str(tmp_path / "b")).revision != first.revision
    assert (first.name, first.kind, first.stored_dtype) == ("a", "clip", "float32")


def test_a_path_that_leads_nowhere(tmp_path):
    """A path is never looked up on the hub."""
    with pytest.raises(InputDataError) as caught:
        find_model(str(tmp_path / "none"))
    assert str(caught.value) == f"Model '{tmp_path / 'none'}': there is no such folder."


@pytest.mark.parametrize("nothing", ["", "  "])
def test_no_model_named(nothing):
    """An empty name is no folder, though the present folder's path is empty, too."""
    with pytest.raises(InputDataError, match=r"^No model is named: give an id"):
        find_model(nothing)
