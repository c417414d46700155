"""A server that answers a submission as a real Kubeflow Pipelines server does.

It holds experiments, pipelines with their versions, and runs; accepts a package only if it parses
as strictly as on the real server, and a run only with the package's parameters; and plays the
answers about a run, and the logs, that a test gives it. The answers about runs were recorded
(`recordings/`); the rest follows the server's source, version 2.17.
"""

import json
import re
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.runners.kfp_answers import Answer, Look


class RefusalError(Exception):
    """An answer other than 200, as the real server words it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What is asked of the server."""

    method: str
    url: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        """The address, without the query."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The query, each name once."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    def data(self) -> Answer:
        """Return the body, which is JSON."""
        return dict(json.loads(self.body))


class KfpServer:
    """The state of the server.

    Attributes:
        looks: are played to whoever asks for a run, the last for good.
        logs: what pods printed, by the ids of their nodes; None where the host allows no look at
            them, which was not recorded: the words are those of its other refusals.
        away: a number of looks that get no answer but a proxy's, or none at all.
        unseen: kinds of things of which the next look-up finds none: others make it right after.
        keeps: whether pipelines may be uploaded; the refusal is read in the source.
        starts: is called with the id of each run that begins.
    """

    def __init__(
        self,
        looks: Sequence[Look | Answer] = (Look("SUCCEEDED"),),
        *,
        logs: Mapping[str, str] | None = None,
        headers: dict[str, str] | None = None,
        several_users: bool = False,
        away: int = 0,
    ) -> None:
        self.looks = list(looks)
        self.logs: Mapping[str, str] | None = logs or {}
        self.headers = headers or {}
        self.several_users = several_users
        self.away = away
        self.unseen: set[str] = set()
        self.keeps = True
        self.starts: Callable[[str], None] = lambda _: None
        self.experiments: list[Answer] = []
        self.pipelines: list[Answer] = []
        self.versions: list[Answer] = []
        self.runs: dict[str, Answer] = {}
        self.logs_read: list[str] = []
        self.url = ""

    def answer(self, request: Request) -> Answer | str:
        """Return the answer to a request, or refuse it."""
        if any(request.headers.get(name) != value for name, value in self.headers.items()):
            raise RefusalError(401, "Unauthenticated: no valid token")
        for method, pattern, handler in _ROUTES:
            match = re.fullmatch(pattern, request.path.removeprefix("/pipeline/apis/"))
            if match and method == request.method:
                return handler(self, request, *match.groups())
        raise RefusalError(404, f"no such method: {request.method} {request.path}")

    def _health(self, request: Request) -> Answer:
        return {"tag_name": "2.17.0", "multi_user": self.several_users}

    def _check_namespace(self, namespace: str) -> None:
        if self.several_users and not namespace:
            raise RefusalError(400, "Invalid input error: namespace is required")
        if namespace and not self.several_users:
            raise RefusalError(400, "In single-user mode, cannot filter by namespace")
        if namespace == "forbidden":
            raise RefusalError(
                403, "User tester is not authorized to list experiments in forbidden"
            )

    def _find(self, request: Request, kind: str) -> Answer:
        namespace = request.query.get("namespace", "")
        self._check_namespace(namespace)
        held = self.experiments if kind == "experiments" else self.pipelines
        own = [one for one in held if one.get("namespace", "") == namespace]
        return self._named(kind, own, request)

    def _add_experiment(self, request: Request) -> Answer:
        new = {"experiment_id": str(uuid.uuid4()), "storage_state": "AVAILABLE"}
        return self._add(self.experiments, request.data() | new)

    def _add_pipeline(self, request: Request) -> Answer:
        if not self.keeps:
            raise RefusalError(403, "User tester is not authorized to create pipelines")
        return self._add(self.pipelines, request.data() | {"pipeline_id": str(uuid.uuid4())})

    def _add(self, held: list[Answer], new: Answer) -> Answer:
        self._check_namespace(new.get("namespace", ""))
        if any(one["display_name"] == new["display_name"] for one in held):
            raise RefusalError(409, f"The name {new['display_name']} already exists")
        held.append(new)
        return new

    def _find_version(self, request: Request, pipeline_id: str) -> Answer:
        found = [one for one in self.versions if one["pipeline_id"] == pipeline_id]
        return self._named("pipeline_versions", found, request)

    def _named(self, kind: str, held: Sequence[Answer], request: Request) -> Answer:
        """Return those of a name, as a list that is left out if it is empty."""
        [predicate] = json.loads(request.query["filter"])["predicates"]
        assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
        found = [one for one in held if one["display_name"] == predicate["stringValue"]]
        hidden = kind in self.unseen
        self.unseen.discard(kind)
        return {kind: found} if found and not hidden else {}

    def _upload(self, request: Request) -> Answer:
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        [part] = message_from_bytes(head + request.body, policy=policy.HTTP).iter_parts()
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        if any(one["display_name"] == request.query["name"] for one in self.versions):
            raise RefusalError(409, "Failed to create a pipeline version")
        documents = [*yaml.load_all(part.get_payload(decode=True), yaml.CSafeLoader), {}]
        version = {
            "pipeline_id": request.query["pipelineid"],
            "pipeline_version_id": str(uuid.uuid4()),
            "display_name": request.query["name"],
            "pipeline_spec": {"pipeline_spec": documents[0], "platform_spec": documents[1]},
        }
        _check_spec(version["pipeline_spec"])
        self.versions.append(version)
        return version

    def _start(self, request: Request) -> Answer:
        body = request.data()
        if body["experiment_id"] not in [e["experiment_id"] for e in self.experiments]:
            raise RefusalError(404, "experiment not found")
        reference = body.get("pipeline_version_reference")
        if reference:
            [spec] = [v["pipeline_spec"] for v in self.versions if reference.items() <= v.items()]
        else:
            spec = body["pipeline_spec"]
            _check_spec(spec)
        _check_parameters(spec, body.get("runtime_config", {}).get("parameters", {}))
        if body["display_name"] == "refuse me":
            raise RefusalError(400, "Invalid input error:\n the name is taken")
        run = body | {"run_id": str(uuid.uuid4()), "spec": spec}
        self.runs[run["run_id"]] = run
        self.starts(run["run_id"])
        return run

    def _look(self, request: Request, run_id: str) -> Answer:
        if run_id not in self.runs:
            raise RefusalError(404, "run not found")
        if self.away:
            self.away -= 1
            raise RefusalError(502, "") if self.away % 2 else ConnectionAbortedError
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return (look.answer() if isinstance(look, Look) else look) | {"run_id": run_id}

    def _log(self, request: Request, node: str) -> str:
        if self.logs is None:
            raise RefusalError(403, "User tester is not authorized to read logs")
        self.logs_read.append(node)
        return self.logs.get(node, "")


_ROUTES: Sequence[tuple[str, str, Callable[..., Answer | str]]] = [
    ("GET", "v2beta1/healthz", KfpServer._health),
    ("GET", "v2beta1/(experiments|pipelines)", KfpServer._find),
    ("POST", "v2beta1/experiments", KfpServer._add_experiment),
    ("POST", "v2beta1/pipelines", KfpServer._add_pipeline),
    ("POST", "v2beta1/pipelines/upload_version", KfpServer._upload),
    ("GET", "v2beta1/pipelines/([^/]+)/versions", KfpServer._find_version),
    ("POST", "v2beta1/runs", KfpServer._start),
    ("GET", "v2beta1/runs/([^/]+)", KfpServer._look),
    ("GET", "v1alpha1/runs/[^/]+/nodes/([^/]+)/log", KfpServer._log),
]


def _check_spec(spec: Answer) -> None:
    try:
        json_format.ParseDict(spec.get("pipeline_spec", spec), pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(spec.get("platform_spec", {}), pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise RefusalError(400, f"Invalid input error: {error}") from None


def _check_parameters(spec: Answer, given: Mapping[str, Any]) -> None:
    root = spec.get("pipeline_spec", spec).get("root", {})
    known = root.get("inputDefinitions", {}).get("parameters", {})
    for name in given.keys() - known.keys():
        raise RefusalError(400, f"Invalid input error: parameter {name} is not in the pipeline")


@contextmanager
def serving(server: KfpServer) -> Iterator[KfpServer]:
    """Serve on a free port of loopback; `server.url` is then the address."""

    class Handler(BaseHTTPRequestHandler):
        """Turns requests into calls of `answer`."""

        def do_GET(self) -> None:
            """Answer a request without a body."""
            self._answer(b"")

        def do_POST(self) -> None:
            """Answer a request with a body."""
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            content: Answer | str
            try:
                status, content = (
                    200,
                    server.answer(Request(self.command, self.path, self.headers, body)),
                )
            except RefusalError as refusal:
                status, content = refusal.status, {"code": 3, "message": str(refusal)}
            except ConnectionAbortedError:
                self.close_connection = True
                return
            kind, text = "application/json", json.dumps(content)
            if isinstance(content, str):
                kind, text = "text/plain", content
            reply(self, status, {"Content-Type": kind}, text.encode())

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


class Server(ThreadingHTTPServer):
    """Serves each request in a thread."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away, as one does that is interrupted."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with a handler on a free port of loopback, and yield the address."""
    with Server(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}"
        finally:
            httpd.shutdown()
            thread.join()
