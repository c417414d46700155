"""Calls to a Kubeflow Pipelines host, with an error of one line for whatever stands in the way.

Redirects are not followed, since they lead to a login page; every call has a deadline.
"""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fondant_spec.errors import HostError, MissingDependencyError

try:
    import requests
except ImportError as error:
    message = f"Kubeflow needs the extra `kubeflow`: pip install 'fondant-spec[kubeflow]' ({error})"
    raise MissingDependencyError(message) from None

from fondant_spec.runners.kubeflow.cluster import Credentials
from fondant_spec.shown_text import HIDDEN
from fondant_spec.signing import signing

TIMEOUT: Final = (3.0, 5.0)

_LOGIN: Final = (
    "set KUBEFLOW_TOKEN, KUBEFLOW_TOKEN_FILE or KUBEFLOW_COOKIE (see docs/kubeflow.md, Signing in)"
)


class Connection:
    """The way to a host.

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

    def data(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Return the answer of a call that answers with data; `options` are those of `requests`.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        response = self._call(method, path, **options)
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            msg = f"{self.url} answers with a page, perhaps to log in, instead of data; {_LOGIN}."
            raise HostError(msg)
        return content

    def text(self, path: str, most: int) -> str:
        """Return the end of a text, of about so many bytes.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        end = b""
        with self._call("GET", path, stream=True) as response:
            try:
                for chunk in response.iter_content(1 << 16):
                    end = (end + chunk)[-most:]
            except requests.RequestException as error:
                raise _unreachable(self.url, error) from None
        return end.decode(errors="replace")

    def _call(
        self,
        method: str,
        path: str,
        timeout: tuple[float, float] | None = None,
        **options: Any,
    ) -> requests.Response:
        try:
            response = requests.request(
                method,
                f"{self.url}/{path}",
                auth=signing(self._credentials.headers()),
                timeout=timeout or self._timeout,
                allow_redirects=False,
                **options,
            )
        except requests.RequestException as error:
            raise _unreachable(self.url, error) from None
        if response.status_code != requests.codes.ok:
            raise _refused(self.url, response)
        return response


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
        answer = response.json()
        message = answer.get("message") or answer.get("error_message")
    except (ValueError, AttributeError):
        return ""
    return f": {' '.join(str(message).split())[:500]}" if message else ""
