"""Calls to a Kubeflow Pipelines host, with an error of one line for whatever stands in the way.

Redirects are not followed, since they lead to a login page; every call has a deadline.
"""

import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fondant_spec.errors import HostError, MissingDependencyError

try:
    import requests
except ImportError as error:
    message = f"Kubeflow needs the extra `kubeflow`: pip install 'fondant-spec[kubeflow]' ({error})"
    raise MissingDependencyError(message) from None

from fondant_spec.runners.kubeflow import obstacles
from fondant_spec.runners.kubeflow.cluster import Credentials
from fondant_spec.shown_text import HIDDEN
from fondant_spec.signing import signing

TIMEOUT: Final = (3.0, 5.0)

_FRAME: Final = re.compile("^/_(?=/)")
"""What Kubeflow's dashboard puts before the path of a page that it shows in a frame."""


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
            raise obstacles.no_data(self.url)
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
                raise obstacles.unreachable(self.url, error) from None
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
            raise obstacles.unreachable(self.url, error) from None
        except OSError as error:  # what `requests` says of a file of certificates that is not there
            msg = f"no safe connection to {self.url}: {error}; check REQUESTS_CA_BUNDLE."
            raise HostError(msg) from None
        if response.status_code != requests.codes.ok:
            raise obstacles.refused(self.url, path, response)
        return response


def _checked(url: str) -> tuple[str, str]:
    """Return an address without what a browser shows beside it; and who signs in.

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
    return f"{parts.scheme}://{host}{_FRAME.sub('', parts.path)}".rstrip("/"), user


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address; None if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")  # no part of a name is empty, or too long
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None
