"""Signing in to a server over HTTP, by what the caller was given and nothing else."""

import base64
from collections.abc import Callable, Mapping
from typing import Any


def authorization(credentials: str) -> dict[str, str]:
    """Return the header that shows `user:password`, or a token, to a server; none for neither."""
    if not credentials:
        return {}
    if ":" in credentials:
        return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}
    return {"Authorization": f"Bearer {credentials}"}


def signing(headers: Mapping[str, str]) -> Callable[[Any], Any]:
    """Return what makes `requests` send these headers, as its `auth`, and none of a `.netrc`.

    Without one, `requests` looks for the host in the user's `.netrc`, and what it finds there takes
    the place of the header.
    """

    def sign(request: Any) -> Any:
        request.headers.update(headers)
        return request

    return sign
