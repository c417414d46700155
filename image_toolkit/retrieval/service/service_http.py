"""HTTP requests to a service that may be slow, busy or down: paced, retried, and bounded."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar

import aiohttp
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from fondant_spec.signing import authorization
from image_toolkit.retrieval.service.service_settings import ServiceSettings
from image_toolkit.retry_after import retry_after

T = TypeVar("T")
Send: TypeAlias = Callable[
    [aiohttp.ClientSession], AbstractAsyncContextManager[aiohttp.ClientResponse]
]

_MOST_BYTES: Final = 64 << 20
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_GIVEN_UP: Final = 20
"""Consecutive failures after which the service counts as down: no more retries."""


class RequestFailedError(Exception):
    """A request failed, after all attempts.

    `reason` is a short code; `retry_after` is how many seconds the service asked to wait.
    """

    def __init__(self, message: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after
        self.attempts = 1

    @property
    def passing(self) -> bool:
        """Whether another attempt may succeed."""
        return self.reason != "service_refused"

    @property
    def unreachable(self) -> bool:
        """Whether there was no answer at all."""
        return self.reason in ("service_unreachable", "service_timeout")


class Http:
    """JSON over HTTP with one connection pool, within the limits of the settings."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._headers = authorization(settings.credentials or "")
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout)
        self._attempts = settings.retries + 1
        rate = settings.queries_per_second
        self._interval = 1 / rate if rate else 0.0
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._backoff = wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE)
        self._session: aiohttp.ClientSession | None = None
        self._next_start = 0.0
        self._failed_in_a_row = 0

    async def get_json(self, url: str, attempts: int | None = None) -> Any:
        """Return the JSON at `url`.

        Raises:
            RequestFailedError: all attempts failed.
        """
        return await self._persist(lambda s: s.get(url, allow_redirects=False), _same, attempts)

    async def post_json(self, url: str, content: Any, read: Callable[[Any], T]) -> T:
        """Post JSON, and return the answer's JSON as parsed by `read`.

        `read` raises ValueError for an invalid answer.

        Raises:
            RequestFailedError: all attempts failed or gave invalid answers.
        """
        return await self._persist(
            lambda s: s.post(url, json=content, allow_redirects=False), read, None
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _persist(self, send: Send, read: Callable[[Any], T], attempts: int | None) -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop_after_attempt(attempts or self._attempts),
            wait=self._pause,
            reraise=True,
        )
        try:
            return await retrying(self._attempt, send, read)
        except RequestFailedError as failure:
            failure.attempts = retrying.statistics["attempt_number"]
            raise

    async def _attempt(self, send: Send, read: Callable[[Any], T]) -> T:
        try:
            async with self._slots:
                await self._pace()
                answer = read(await self._once(send))
        except ValueError as error:
            self._failed_in_a_row += 1
            raise RequestFailedError(str(error), "bad_answer") from error
        except RequestFailedError:
            self._failed_in_a_row += 1
            raise
        self._failed_in_a_row = 0
        return answer

    def _may_pass(self, error: BaseException) -> bool:
        gone = self._failed_in_a_row >= _GIVEN_UP
        return isinstance(error, RequestFailedError) and error.passing and not gone

    async def _once(self, send: Send) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        try:
            async with send(self._session) as response:
                body = await _read(response)
        except TimeoutError:
            msg = f"no answer within {self._timeout.total:g} s"
            raise RequestFailedError(msg, "service_timeout") from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            msg = f"the answer broke off ({error})"
            raise RequestFailedError(msg, "bad_answer") from error
        except (aiohttp.ClientError, OSError) as error:
            msg = f"{type(error).__name__}: {error}"
            raise RequestFailedError(msg, "service_unreachable") from error
        if response.status != HTTPStatus.OK:
            raise _refusal(response, body)
        try:
            return json.loads(body)
        except ValueError as error:
            kind = response.content_type
            msg = f"the answer is no JSON but {kind}: {error}"
            raise RequestFailedError(msg, "bad_answer") from error

    async def _pace(self) -> None:
        """Wait for this request's turn."""
        now = time.monotonic()
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        if start > now:
            await asyncio.sleep(start - now)

    def _pause(self, state: RetryCallState) -> float:
        """Return the seconds to wait before another attempt.

        A wait that the service asked for delays all requests.
        """
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.retry_after if isinstance(failure, RequestFailedError) else None
        if asked is None:
            return self._backoff(state) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        pause = min(asked, _LONGEST_PAUSE)
        self._next_start = max(self._next_start, time.monotonic() + pause)
        return pause


def _refusal(response: aiohttp.ClientResponse, body: bytes) -> RequestFailedError:
    """Return the error for a status other than 200."""
    status = response.status
    msg = f"{status} {response.reason}: {body[:200].decode(errors='replace')}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RequestFailedError(
            msg, "service_busy", retry_after(response.headers.get("Retry-After"))
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RequestFailedError(
            msg, "service_error", retry_after(response.headers.get("Retry-After"))
        )
    if location := response.headers.get("Location"):
        msg = f"{status}, moved to {location}; name that address"
    return RequestFailedError(msg, "service_refused")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        size += len(part)
        if size > _MOST_BYTES:
            msg = f"the answer is larger than {_MOST_BYTES >> 20} MiB"
            raise RequestFailedError(msg, "bad_answer")
        parts.append(part)
    return b"".join(parts)


def _same(content: Any) -> Any:
    return content
