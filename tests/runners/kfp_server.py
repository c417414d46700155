"""A small server that speaks the part of the Kubeflow Pipelines API that a submission uses.

It holds experiments and runs, takes a package only if it parses as strictly as on the real server,
and plays the states of a run that a test gives it.
"""

import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2


@dataclass
class Look:
    """What one look at a run gives: its state, that of its tasks, and errors by task."""

    state: str
    tasks: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""


class RefusalError(Exception):
    """An answer other than 200, as the real server words it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KfpServer:
    """The state of the server; `looks` are played to whoever asks for a run, the last for good.

    `away` is a number of looks that get no answer but a proxy's, or none at all.
    """

    def __init__(
        self,
        looks: Sequence[Look] = (Look("SUCCEEDED"),),
        *,
        headers: dict[str, str] | None = None,
        several_users: bool = False,
        away: int = 0,
    ) -> None:
        self.looks = list(looks)
        self.headers = headers or {}
        self.several_users = several_users
        self.away = away
        self.experiments: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.url = ""

    def answer(self, method: str, url: str, headers: Any, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request, or refuse it."""
        if any(headers.get(name) != value for name, value in self.headers.items()):
            raise RefusalError(401, "Unauthenticated: no valid token")
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match method, parts.path.removeprefix("/pipeline/apis/v2beta1/").split("/"):
            case "GET", ["healthz"]:
                return {"tag_name": "2.17.0", "multi_user": self.several_users}
            case "GET", ["experiments"]:
                return self._find(query)
            case "POST", ["experiments"]:
                self._check_namespace(body.get("namespace", ""))
                experiment = body | {"experiment_id": str(uuid.uuid4())}
                self.experiments.append(experiment)
                return experiment
            case "POST", ["runs"]:
                return self._start(body)
            case "GET", ["runs", run_id] if run_id in self.runs:
                return self._look(run_id)
        raise RefusalError(404, f"no such method: {method} {url}")

    def _check_namespace(self, namespace: str) -> None:
        if self.several_users and not namespace:
            raise RefusalError(400, "Invalid input error: namespace is required")
        if namespace and not self.several_users:
            raise RefusalError(400, "In single-user mode, cannot filter by namespace")
        if namespace == "forbidden":
            raise RefusalError(
                403, "User tester is not authorized to list experiments in forbidden"
            )

    def _find(self, query: dict[str, str]) -> dict[str, Any]:
        namespace = query.get("namespace", "")
        self._check_namespace(namespace)
        [predicate] = json.loads(query["filter"])["predicates"]
        assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
        found = [
            e
            for e in self.experiments
            if e["display_name"] == predicate["stringValue"] and e.get("namespace", "") == namespace
        ]
        return {"experiments": found} if found else {}

    def _start(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["experiment_id"] not in [e["experiment_id"] for e in self.experiments]:
            raise RefusalError(404, "experiment not found")
        spec = body["pipeline_spec"]
        try:
            json_format.ParseDict(spec.get("pipeline_spec", spec), pipeline_spec_pb2.PipelineSpec())
            json_format.ParseDict(spec.get("platform_spec", {}), pipeline_spec_pb2.PlatformSpec())
        except json_format.ParseError as error:
            raise RefusalError(400, f"Invalid input error: {error}") from None
        if body["display_name"] == "refuse me":
            raise RefusalError(400, "Invalid input error:\n the name is taken")
        run = body | {"run_id": str(uuid.uuid4())}
        self.runs[run["run_id"]] = run
        return run

    def _look(self, run_id: str) -> dict[str, Any]:
        if self.away:
            self.away -= 1
            raise RefusalError(502, "") if self.away % 2 else ConnectionAbortedError
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        tasks = [
            {"display_name": name, "state": state}
            | ({"error": {"code": 2, "message": look.errors[name]}} if name in look.errors else {})
            for name, state in look.tasks.items()
        ]
        answer = {"run_id": run_id, "state": look.state, "run_details": {"task_details": tasks}}
        return answer | ({"error": {"code": 2, "message": look.error}} if look.error else {})


@contextmanager
def serving(server: KfpServer) -> Iterator[KfpServer]:
    """Serve on a free port of loopback; `server.url` is then the address."""

    class Handler(BaseHTTPRequestHandler):
        """Turns requests into calls of `answer`."""

        def do_GET(self) -> None:
            """Answer a request without a body."""
            self._answer({})

        def do_POST(self) -> None:
            """Answer a request with a body in JSON."""
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            try:
                status, content = 200, server.answer(self.command, self.path, self.headers, body)
            except RefusalError as refusal:
                status, content = refusal.status, {"code": 3, "message": str(refusal)}
            except ConnectionAbortedError:
                self.close_connection = True
                return
            reply(self, status, {"Content-Type": "application/json"}, json.dumps(content).encode())

        def log_message(self, *words: object) -> None:
            """Keep quiet."""

    with listening(Handler) as address:
        server.url = f"{address}/pipeline"
        yield server


def reply(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Send a whole answer."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with a handler on a free port of loopback, and yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}"
        finally:
            httpd.shutdown()
            thread.join()
