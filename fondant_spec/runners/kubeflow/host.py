"""A client of a Kubeflow Pipelines host, using its API v2beta1."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fondant_spec.errors import HostError
from fondant_spec.runners.kubeflow.cluster import Credentials
from fondant_spec.runners.kubeflow.connection import TIMEOUT, Connection
from fondant_spec.runners.kubeflow.package import documents

API: Final = "apis/v2beta1"
LOG_API: Final = "apis/v1alpha1"
"""For reading logs, which v2beta1 cannot; hosts of version 2 have both."""

SUBMIT_TIMEOUT: Final = (3.0, 60.0)
"""Connect and read timeouts: a host is slow to parse a package and to create a run of it."""

MAX_LOG: Final = 1 << 20
"""How many bytes of the end of a log are read."""

NAMESPACE_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

_ARCHIVED: Final = "ARCHIVED"


@dataclass(frozen=True)
class Health:
    """What a host reports of itself. One with several users has a namespace for each."""

    version: str
    several_users: bool


@dataclass(frozen=True)
class Submission:
    """The specification of a run.

    Attributes:
        name: the run's name.
        experiment_id: the experiment that it belongs to.
        source: the package, as `Host.upload` returns it.
        parameters: the values of all fields of the form.
        description: what runs, and where.
        service_account: that the steps run as; empty for the host's default.
    """

    name: str
    experiment_id: str
    source: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    service_account: str = ""


class Host:
    """A host with the API v2beta1; the arguments are those of a `Connection`.

    All methods raise a `HostError` if the host refuses, or cannot be reached.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._connection = Connection(url, credentials, timeout)
        self.url = self._connection.url

    def check(self) -> Health:
        """Check that Kubeflow Pipelines responds there."""
        answer = self._call("GET", "healthz")
        if not {"tag_name", "commit_sha", "multi_user"} & answer.keys():
            msg = f"{self.url} answers, but is not Kubeflow Pipelines; check HOST and its path."
            raise HostError(msg)
        version = str(answer.get("tag_name") or "of an unknown version")
        return Health(version, several_users=bool(answer.get("multi_user")))

    def experiment(self, name: str, namespace: str = "") -> str:
        """Return the id of an experiment, creating it if necessary.

        Raises:
            HostError: it is archived, so that no list would show the run.
        """
        body = {"display_name": name} | _in(namespace)
        found = self._kept("experiments", body)
        if found.get("storage_state") == _ARCHIVED:
            msg = (
                f"the experiment {name!r} is archived, so no list would show the run; restore it "
                f"({self.url}/#/archive/experiments), or name another one with --experiment."
            )
            raise HostError(msg)
        return str(found["experiment_id"])

    def upload(
        self, package: str, pipeline: str, version: str, description: str = "", namespace: str = ""
    ) -> dict[str, Any]:
        """Return a package as the source of runs: a pipeline version, uploaded if necessary.

        Args:
            package: its text.
            pipeline: the name of the pipeline, which is created if necessary.
            version: identifies this package; an existing version is not uploaded again.
            description: of the pipeline, for people.
            namespace: of the pipeline, on a host with several users.
        """
        body = {"display_name": pipeline, "description": description} | _in(namespace)
        pipeline_id = self._kept("pipelines", body)["pipeline_id"]
        there = self._found_or_made(
            lambda: self._find(f"pipelines/{pipeline_id}/versions", "pipeline_versions", version),
            lambda: self._call(
                "POST",
                "pipelines/upload_version",
                params={"pipelineid": pipeline_id, "name": version},
                files={"uploadfile": ("package.yaml", package.encode(), "application/yaml")},
                timeout=SUBMIT_TIMEOUT,
            ),
        )
        ids = {"pipeline_id": pipeline_id, "pipeline_version_id": there["pipeline_version_id"]}
        return {"pipeline_version_reference": ids}

    def submit(self, submission: Submission) -> str:
        """Start a run, and return its id."""
        body = {
            "display_name": submission.name,
            "description": submission.description,
            "experiment_id": submission.experiment_id,
            "runtime_config": {"parameters": dict(submission.parameters)},
            **submission.source,
        }
        if submission.service_account:
            body["service_account"] = submission.service_account
        answer = self._call("POST", "runs", json=body, timeout=SUBMIT_TIMEOUT)
        if not answer.get("run_id"):
            msg = f"{self.url} took the run, but named no id; is it Kubeflow Pipelines 2?"
            raise HostError(msg)
        return str(answer["run_id"])

    def run_url(self, run_id: str) -> str:
        """Return the URL of a run's page."""
        return f"{self.url}/#/runs/details/{run_id}"

    def run(self, run_id: str) -> dict[str, Any]:
        """Return the host's description of a run."""
        return self._call("GET", f"runs/{run_id}")

    def log(self, run_id: str, node_id: str) -> str:
        """Return the end of a pod's output; empty if it has not started, or is gone.

        The host sends 200 before it looks for the pod, so that an error is in the text.
        """
        text = self._connection.text(f"{LOG_API}/runs/{run_id}/nodes/{node_id}/log", MAX_LOG)
        return "" if text.startswith('{"error_message"') else text

    def _kept(self, kind: str, body: Mapping[str, str]) -> dict[str, Any]:
        """Return the host's object of a name, creating it if necessary."""
        name, namespace = body["display_name"], body.get("namespace", "")
        return self._found_or_made(
            lambda: self._find(kind, kind, name, namespace),
            lambda: self._call("POST", kind, json=body),
        )

    def _found_or_made(
        self, find: Callable[[], dict[str, Any]], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return what is found, or else created; others may create it at the same moment."""
        if found := find():
            return found
        try:
            return make()
        except HostError:
            if found := find():
                return found
            raise

    def _find(self, path: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """Return the first object of that name; {} if there is none."""
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        query = {"filter": json.dumps({"predicates": [predicate]})} | _in(namespace)
        found = self._call("GET", path, params=query).get(kind)
        return dict(found[0]) if found else {}

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._connection.data(method, f"{API}/{path}", **options)


def inline(package: str) -> dict[str, Any]:
    """Return a package as the source of a single run, which embeds it."""
    pipeline, platform = documents(package)
    spec = {"pipeline_spec": pipeline, "platform_spec": platform} if platform else pipeline
    return {"pipeline_spec": spec}


def namespace_for(wanted: str, *, several_users: bool) -> str:
    """Return the namespace to run in: none if the host has one user, else the requested one.

    Raises:
        HostError: one is needed and not given, and this process is not in a pod, which has one.
    """
    if not several_users:
        return ""
    if not wanted and Path(NAMESPACE_FILE).is_file():
        wanted = Path(NAMESPACE_FILE).read_text(encoding="utf-8").strip()
    if not wanted:
        msg = "the host has several users; name your namespace (profile) in KUBEFLOW_NAMESPACE."
        raise HostError(msg)
    return wanted


def _in(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}
