"""HTTP authentication with the credentials given by the caller, and no others."""

import base64
from collections.abc import Callable, Mapping
from typing import Any


def authorization(credentials: str) -> dict[str, str]:
    """Return the authorization header for `user:password` or a token; empty without credentials."""
    if not credentials:
        return {}
    if ":" in credentials:
        return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}
    return {"Authorization": f"Bearer {credentials}"}


def signing(headers: Mapping[str, str]) -> Callable[[Any], Any]:
    """Return an `auth` for `requests` that sends these headers and ignores `.netrc`.

    Without one, `requests` looks the host up in the user's `.netrc`, and overrides the header with
    what it finds.
    """

    def sign(request: Any) -> Any:
        request.headers.update(headers)
        return request

    return sign
