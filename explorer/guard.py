"""Access control, and the security headers of answers."""

import secrets
from collections.abc import Collection
from hashlib import sha256
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from image_toolkit.served_names import is_loopback, name_of

TOKEN: Final = "token"  # noqa: S105 - the name of it
MOST_BODY_BYTES: Final = 1 << 20

POLICY: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
IMAGE_POLICY: Final = "default-src 'none'; sandbox"

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE: Final = ("GET", "HEAD")


class Guard:
    """Lets a request through if it has the token, names this server and comes from its own pages.

    The token is in the first address, and from then on in a cookie that scripts cannot read. The
    server's names are the loopback addresses and `names`: a request under any other name comes from
    a web page whose domain points here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, names: Collection[str] = ()) -> None:
        self._app = app
        self._token = token
        self._names = {name.lower() for name in names}
        # Browsers send cookies to all ports of a machine, so each server names its own.
        self._cookie = f"explorer-{sha256(token.encode()).hexdigest()[:12]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if refusal is not None:
            await refusal(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        name = name_of(request.headers.get("host", "")).lower()
        if not is_loopback(name) and name not in self._names:
            return _refused(
                f"not known as {name!r} here; see --allow-host", HTTPStatus.MISDIRECTED_REQUEST
            )
        given = request.query_params.get(TOKEN)
        if given is not None and request.method in _SAFE:
            return self._signed_in(request, given)
        if not self._knows(request.cookies.get(self._cookie, "")):
            return _refused(
                "open the address that the program printed: it has the token", HTTPStatus.FORBIDDEN
            )
        if request.method not in _SAFE:
            return _foreign(request)
        return None

    def _signed_in(self, request: Request, given: str) -> Response:
        """Return a redirect that moves the token from the address to a cookie."""
        if not self._knows(given):
            return _refused("this is another token than the program printed", HTTPStatus.FORBIDDEN)
        rest = [pair for pair in request.query_params.multi_items() if pair[0] != TOKEN]
        # One slash: after two, the rest would be read as the name of another host.
        place = "/" + request.url.path.lstrip("/")
        response = RedirectResponse(place + (f"?{urlencode(rest)}" if rest else ""), 303)
        response.set_cookie(self._cookie, given, httponly=True, samesite="strict")
        return response

    def _knows(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())


def _foreign(request: Request) -> Response | None:
    """Return the refusal of a write that another site's page sent, or that is too long."""
    origin = request.headers.get("origin", "").rpartition("://")[2]
    if not origin or origin != request.headers.get("host"):
        return _refused("changes are made from the explorer's own pages", HTTPStatus.FORBIDDEN)
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MOST_BODY_BYTES:
        return _refused("the request is too long", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return None


def _refused(why: str, status: HTTPStatus) -> Response:
    return PlainTextResponse(f"Refused: {why}.\n", status)
