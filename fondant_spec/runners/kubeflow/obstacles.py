"""Failed calls to a Kubeflow Pipelines host, as errors that say what to do.

Requires the extra `kubeflow`; a `Connection` reports if it is missing.
"""

import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests

from fondant_spec.errors import HostError

_LOGIN: Final = (
    "set KUBEFLOW_TOKEN, KUBEFLOW_TOKEN_FILE or KUBEFLOW_COOKIE (see docs/kubeflow.md, Signing in)"
)
_PROXY: Final = "check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."
_NO_PATH: Final = "Not Found"
"""A host's message for an unknown path; for an unknown run, it is more specific."""


class NotOnHostError(HostError):
    """A host does not have what was requested, such as a run that was deleted."""


class UnansweredError(HostError):
    """A call reached a host, perhaps, and was not answered: it may have been carried out."""


def unreachable(url: str, error: requests.RequestException) -> HostError:
    """Return an error for a call without a response; `url` is the host's."""
    causes = list(_causes(error))
    if isinstance(error, requests.exceptions.SSLError):
        return HostError(f"no safe connection to {url} ({_unsafe(causes, error)}")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        msg = f"the proxy to {url} cannot be used, or HOST is no address ({error}); {_PROXY}"
        return HostError(msg)
    if isinstance(error, requests.exceptions.ProxyError):
        msg = f"the proxy to {url} does not serve; {_PROXY}"
    elif isinstance(error, requests.exceptions.Timeout):
        msg = f"{url} does not answer in time; check HOST, and the VPN or port-forward to it."
        if not isinstance(error, requests.exceptions.ConnectTimeout):
            return UnansweredError(msg, temporary=True)
    elif any(isinstance(cause, socket.gaierror) for cause in causes):
        msg = f"there is no host named {urlsplit(url).hostname}; check HOST, and the VPN to it."
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        msg = f"{url} refuses connections; check the port of HOST, and the port-forward to it."
    else:
        msg = f"the connection to {url} broke off ({type(error).__name__})."
        return UnansweredError(msg, temporary=True)
    return HostError(msg, temporary=True)


def refused(url: str, path: str, response: requests.Response) -> HostError:
    """Return an error for a response other than 200, to a call of a path of the host."""
    code = response.status_code
    message = _message_of(response)
    told = f": {message}" if message else ""
    if response.is_redirect:
        return _redirected(url, path, response.headers["Location"])
    if code >= requests.codes.server_error or code == requests.codes.too_many_requests:
        kind = HostError if code == requests.codes.too_many_requests else UnansweredError
        return kind(f"{url} is in trouble ({code}){told}; try again later.", temporary=True)
    if code == requests.codes.not_found and message not in ("", _NO_PATH):
        return NotOnHostError(f"{url} does not have what is asked for (404){told}")
    meanings = {
        401: f"{url} does not know us (401); {_LOGIN}.",
        403: f"{url} does not allow this (403){told}; check KUBEFLOW_NAMESPACE "
        f"and your rights there, or {_LOGIN}.",
        404: f"there is no Kubeflow Pipelines 2 at {url} (404); check the path of HOST, which on "
        "many hosts ends in /pipeline.",
        407: f"the proxy to {url} does not know us (407); {_PROXY}",
    }
    other = f"{url} refuses the request ({code}){told}"
    return HostError(meanings.get(code, other))


def no_data(url: str) -> HostError:
    """Return an error for a response that does not come from the API."""
    return HostError(f"{url} answers with a page, perhaps to log in, instead of data; {_LOGIN}.")


def _unsafe(causes: list[BaseException], error: BaseException) -> str:
    reason = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"{reason}); if its certificate is from an authority of your own, name that "
            "authority's file in REQUESTS_CA_BUNDLE."
        )
    return (
        f"{reason}); check that it speaks https, and the file that REQUESTS_CA_BUNDLE names, if it "
        "is set."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _redirected(url: str, path: str, location: str) -> HostError:
    """Tell a host that has moved, as from http to https, from one that wants a login."""
    target = urljoin(f"{url}/{path}", location).partition("?")[0].rstrip("/")
    moved = target.removesuffix(f"/{path}")
    if moved in (target, url):
        return HostError(f"{url} sends us to a login page; {_LOGIN}.")
    return HostError(f"{url} sends us on to {moved}; set HOST to that.")


def _message_of(response: requests.Response) -> str:
    """Return the host's own error message, if it is meant for users."""
    try:
        answer = response.json()
        message = answer.get("message") or answer.get("error_message")
    except (ValueError, AttributeError):
        return ""
    return " ".join(str(message or "").split())[:500]
