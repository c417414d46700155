"""Limits on the cost of a request to a server, and the host names it may be sent to."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from image_toolkit.retrieval.service.query_requests import BadRequestError
from image_toolkit.served_names import is_loopback, name_of

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class RequestBounds:
    """Bytes, seconds and counts. The defaults suit a team, and images as large as photographs."""

    most_bytes: int = 16 << 20
    """Size of a body."""

    seconds: float = 30.0
    """For a body to arrive, from its headers to its last byte."""

    at_once: int = 32
    """Requests being read or answered at once; others wait, unread."""

    threads: int = 4
    """Requests being answered in parallel."""


class Answering:
    """Reads bodies, and answers them in threads, so that no request blocks the others."""

    def __init__(self, bounds: RequestBounds) -> None:
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.at_once)
        self._threads = ThreadPoolExecutor(bounds.threads, "answer")

    async def answer(self, request: web.Request, of: Callable[[Any], Any]) -> web.Response:
        """Return what `of` returns for a request's JSON, as JSON; `of` runs in a thread.

        Raises:
            BadRequestError: the body is not JSON, or `of` cannot answer it.
            TimeoutError: the body did not arrive in time.
        """
        async with self._slots:
            async with asyncio.timeout(self._bounds.seconds):
                body = await request.read()
            loop = asyncio.get_running_loop()
            text = await loop.run_in_executor(
                self._threads, lambda: json.dumps(of(_parse(body)), default=str)
            )
        return json_response(text)

    async def close(self, _app: web.Application) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def guard(host: str) -> Any:
    """Return middleware that checks the Host header and turns errors into responses.

    `host` is the address that the server listens on. On a loopback address, only loopback names are
    accepted in the Host header, so that no web page can reach it by DNS rebinding.
    """
    local = is_loopback(host)

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if local and not is_loopback(name_of(request.host)):
            return _refusal(f"not known as {request.host!r} here", HTTPStatus.FORBIDDEN)
        try:
            return await handler(request)
        except BadRequestError as error:
            return _refusal(str(error), HTTPStatus.BAD_REQUEST)
        except TimeoutError:
            return _refusal("the body did not come in time", HTTPStatus.REQUEST_TIMEOUT)
        except web.HTTPRequestEntityTooLarge as error:
            return _refusal(str(error.text), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    return guarded


def json_response(text: str, status: int = HTTPStatus.OK) -> web.Response:
    """Return a response with JSON in it."""
    return web.Response(text=text, status=status, content_type="application/json")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        msg = "the body must be JSON"
        raise BadRequestError(msg) from None


def _refusal(message: str, status: int) -> web.Response:
    response = json_response(json.dumps({"message": message}), status)
    response.force_close()  # does not wait for the rest of the body
    return response
