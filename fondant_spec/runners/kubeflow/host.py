"""Speaking to a Kubeflow Pipelines host, with an error of one line for whatever stands in the way.

The API is version v2beta1. Redirects are not followed, since they lead to a login page; every call
has a deadline.
"""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fondant_spec.errors import HostError, MissingDependencyError

try:
    import requests
except ImportError as error:
    message = f"Kubeflow needs the extra `kubeflow`: pip install 'fondant-spec[kubeflow]' ({error})"
    raise MissingDependencyError(message) from None

from fondant_spec.runners.kubeflow.cluster import Credentials
from fondant_spec.runners.kubeflow.package import documents
from fondant_spec.shown_text import HIDDEN
from fondant_spec.signing import signing

API: Final = "apis/v2beta1"
TIMEOUT: Final = (3.0, 5.0)
SUBMIT_TIMEOUT: Final = (3.0, 60.0)
"""A host takes its time to make a run of a package."""

NAMESPACE_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

_LOGIN: Final = (
    "set KUBEFLOW_TOKEN, KUBEFLOW_TOKEN_FILE or KUBEFLOW_COOKIE (see docs/kubeflow.md, Signing in)"
)


@dataclass(frozen=True)
class Health:
    """What a host says of itself. One with several users has a namespace for each."""

    version: str
    several_users: bool


@dataclass(frozen=True)
class RunState:
    """A run as the host sees it: its state, that of each step by name, and what went wrong."""

    state: str
    steps: Mapping[str, str]
    errors: Mapping[str, str]
    message: str = ""


class Host:
    """A Kubeflow Pipelines host.

    Args:
        url: its address, as it stands in a browser or in front of `/apis`. A user and password in
            it are shown to the host alone.
        credentials: what to show it instead.
        timeout: seconds to connect, and between two bytes of an answer.

    Raises:
        HostError: the address is no URL.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self.url, user = _checked(url)
        self._credentials = replace(credentials or Credentials(), user=user)
        self._timeout = timeout

    def check(self) -> "Health":
        """Make sure that Kubeflow Pipelines answers there.

        Raises:
            HostError: it does not; the message says why and what to do.
        """
        answer = self._call("GET", "healthz")
        if not {"tag_name", "commit_sha", "multi_user"} & answer.keys():
            msg = f"{self.url} answers, but is not Kubeflow Pipelines; check HOST and its path."
            raise HostError(msg)
        version = str(answer.get("tag_name") or "of an unknown version")
        return Health(version, several_users=bool(answer.get("multi_user")))

    def experiment(self, name: str, namespace: str = "") -> str:
        """Return the id of an experiment, which is made if there is none of that name.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        query = {"filter": json.dumps({"predicates": [predicate]})}
        if namespace:
            query["namespace"] = namespace
        found = self._call("GET", "experiments", params=query).get("experiments")
        if found:
            return str(found[0]["experiment_id"])
        body = {"display_name": name} | ({"namespace": namespace} if namespace else {})
        return str(self._call("POST", "experiments", json=body)["experiment_id"])

    def submit(self, package: str, name: str, experiment_id: str, service_account: str = "") -> str:
        """Start a run of a package, and return its id.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        pipeline, platform = documents(package)
        spec = {"pipeline_spec": pipeline, "platform_spec": platform} if platform else pipeline
        body = {"display_name": name, "experiment_id": experiment_id, "pipeline_spec": spec}
        if service_account:
            body["service_account"] = service_account
        answer = self._call("POST", "runs", json=body, timeout=SUBMIT_TIMEOUT)
        if not answer.get("run_id"):
            msg = f"{self.url} took the run, but named no id; is it Kubeflow Pipelines 2?"
            raise HostError(msg)
        return str(answer["run_id"])

    def run_url(self, run_id: str) -> str:
        """Return where a person looks at a run."""
        return f"{self.url}/#/runs/details/{run_id}"

    def state(self, run_id: str) -> RunState:
        """Return how a run stands.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        run = self._call("GET", f"runs/{run_id}")
        tasks = (run.get("run_details") or {}).get("task_details") or []
        named = [task for task in tasks if task.get("display_name")]
        return RunState(
            state=str(run.get("state", "")),
            steps={t["display_name"]: str(t.get("state", "")) for t in named},
            errors={t["display_name"]: _message(t.get("error")) for t in named if t.get("error")},
            message=_message(run.get("error")),
        )

    def _call(
        self, method: str, path: str, timeout: tuple[float, float] | None = None, **options: Any
    ) -> dict[str, Any]:
        try:
            response = requests.request(
                method,
                f"{self.url}/{API}/{path}",
                auth=signing(self._credentials.headers()),
                timeout=timeout or self._timeout,
                allow_redirects=False,
                **options,
            )
        except requests.RequestException as error:
            raise _unreachable(self.url, error) from None
        if response.status_code != requests.codes.ok:
            raise _refused(self.url, response)
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            msg = f"{self.url} answers with a page, perhaps to log in, instead of data; {_LOGIN}."
            raise HostError(msg)
        return content


def namespace_for(wanted: str, *, several_users: bool) -> str:
    """Return the namespace to run in: none if the host has one user, else the one wanted.

    Raises:
        HostError: none is wanted where one is needed, and we are not in a pod, which has one.
    """
    if not several_users:
        return ""
    if not wanted and Path(NAMESPACE_FILE).is_file():
        wanted = Path(NAMESPACE_FILE).read_text(encoding="utf-8").strip()
    if not wanted:
        msg = "the host has several users; name your namespace (profile) in KUBEFLOW_NAMESPACE."
        raise HostError(msg)
    return wanted


def _checked(url: str) -> tuple[str, str]:
    """Return an address without what a browser adds to it, or a slash at the end; and who signs in.

    That is `user:password`, if it stands in the address.
    """
    if not url.strip():
        msg = "HOST is not set; set it to Kubeflow Pipelines, or choose another --runner."
        raise HostError(msg)
    url = url.strip()
    parts = _parts(url)
    if parts is None:
        shown = url if "@" not in url else f"{HIDDEN}@{url.rpartition('@')[2]}"
        msg = (
            f"HOST is {shown!r}, which is no URL. Some shells, and conda, set a HOST of their own: "
            "unset it to run here, or set it to Kubeflow Pipelines, such as "
            "https://kubeflow.example.com/pipeline."
        )
        raise HostError(msg)
    user, _, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/"), user


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address; None if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def _unreachable(url: str, error: requests.RequestException) -> HostError:
    causes = list(_causes(error))
    if isinstance(error, requests.exceptions.SSLError):
        reason = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), error)
        return HostError(
            f"no safe connection to {url} ({reason}); if its certificate is from an authority of "
            "your own, name that authority's file in REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        msg = f"the proxy to {url} does not serve; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
    elif isinstance(error, requests.exceptions.Timeout):
        msg = f"{url} does not answer in time; check HOST, and the VPN or port-forward to it."
    elif any(isinstance(cause, socket.gaierror) for cause in causes):
        msg = f"there is no host named {urlsplit(url).hostname}; check HOST, and the VPN to it."
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        msg = f"{url} refuses connections; check the port of HOST, and the port-forward to it."
    else:
        msg = f"the connection to {url} broke off ({type(error).__name__})."
    return HostError(msg, temporary=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refused(url: str, response: requests.Response) -> HostError:
    code = response.status_code
    message = _message_of(response)
    meanings = {
        401: f"{url} does not know us (401); {_LOGIN}.",
        403: f"{url} does not allow this (403){message}; check KUBEFLOW_NAMESPACE and your rights "
        f"there, or {_LOGIN}.",
        404: f"there is no Kubeflow Pipelines 2 at {url} (404); check the path of HOST, which on "
        "many hosts ends in /pipeline.",
    }
    if response.is_redirect:
        return HostError(f"{url} sends us to a login page; {_LOGIN}.")
    if code >= requests.codes.server_error or code == requests.codes.too_many_requests:
        return HostError(f"{url} is in trouble ({code}){message}; try again later.", temporary=True)
    return HostError(meanings.get(code, f"{url} refuses the request ({code}){message}"))


def _message_of(response: requests.Response) -> str:
    """Return what the host says of an error in its own words, if these are for us."""
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {' '.join(str(message).split())[:500]}" if message else ""


def _message(error: Any) -> str:
    return str(error.get("message", "")).strip() if isinstance(error, dict) else ""
