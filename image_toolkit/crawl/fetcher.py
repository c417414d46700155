"""Fetch many URLs concurrently: submitted from any thread, answered by callbacks."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.content_coding import ContentDecoder
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.fetch_retry import backoff, check_status, is_ok, redirect_of
from image_toolkit.crawl.multi import Multi
from image_toolkit.crawl.optouts import note_opt_out
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.resolver import Lookup, Resolver, system_lookup
from image_toolkit.crawl.robots import Robots
from image_toolkit.crawl.transfer import CheckHead, Transport
from image_toolkit.crawl.turns import Turns
from image_toolkit.crawl.urls import Url, join, parse_url

logger = logging.getLogger(__name__)

_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Fetched:
    """A reply, or the error that ended all attempts."""

    reply: Reply | None
    error: FetchError | None
    attempts: int


class Ticket:
    """A URL in progress; `url` is that of the current hop."""

    def __init__(
        self, url: Url, on_done: Callable[[Fetched], None], *, head_only: bool = False
    ) -> None:
        self.url = url
        self.on_done = on_done
        self.head_only = head_only
        self.attempts = 0
        self.hops = 0
        self.finished = False
        self.task: asyncio.Task[None] | None = None


class Fetcher:
    """Fetches URLs on an event loop in its own thread, which starts with `start`."""

    def __init__(
        self,
        limits: FetchLimits,
        access: AccessPolicy,
        *,
        addresses: AddressPolicy | None = None,
        lookup: Lookup = system_lookup,
        ca_file: str = "",
    ) -> None:
        """Prepare a fetcher; `addresses` and `lookup` override those of the policy and the system.

        `ca_file` contains the certificates to trust instead of the default ones.
        """
        self._limits = limits
        self._access = access
        self._ports = access.ports
        self._addresses = addresses or access.addresses
        self._lookup = lookup
        self._transport = Transport(
            access.full_user_agent, self._addresses, limits, access.proxy or "", ca_file
        )
        self._tickets: set[Ticket] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)

    def start(self) -> None:
        """Start the thread and its connection pool."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._set_up(), self._loop).result()

    def close(self) -> None:
        """Close all connections and end the thread; pending URLs end with the reason `closed`."""
        asyncio.run_coroutine_threadsafe(self._tear_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(
        self, url: str | None, on_done: Callable[[Fetched], None], *, head_only: bool = False
    ) -> Ticket | None:
        """Queue a URL; `on_done` is called once, on the fetching thread unless the URL is invalid.

        Call `release` with the length of the body once it is consumed. With `head_only` there is no
        body: a HEAD request is sent, which waits for its turn like any other.
        """
        try:
            checked = parse_url(url, self._ports)
        except FetchError as error:
            on_done(Fetched(None, error, attempts=0))
            return None
        ticket = Ticket(checked, on_done, head_only=head_only)
        self._loop.call_soon_threadsafe(self._accept, ticket)
        return ticket

    def release(self, count: int) -> None:
        """Report that a body of `count` bytes was consumed, so that others may follow."""
        self._budget.give_back(count)

    def cancel(self, ticket: Ticket) -> None:
        """Abandon a URL: it ends as a `straggler`, unless it has already ended."""
        with suppress(RuntimeError):  # the loop is closed, and every URL settled
            self._loop.call_soon_threadsafe(self._cancel, ticket)

    async def _set_up(self) -> None:
        self._multi = Multi()
        self._resolver = Resolver(self._addresses, self._lookup)
        self._robots = Robots(self._follow, self._access.product_token)
        self._budget = ByteBudget(self._limits.waiting_bytes, self._wake)
        self._decoder = ContentDecoder(self._budget, self._limits.max_bytes)
        self._turns = Turns(self._limits, self._budget.has_room)

    async def _tear_down(self) -> None:
        for ticket in list(self._tickets):
            self._finish(ticket, None, FetchError(reason="closed"))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._multi.close()
        self._resolver.close()
        self._decoder.close()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing is left to start
            self._loop.call_soon_threadsafe(self._turns.pump)

    def _accept(self, ticket: Ticket) -> None:
        self._tickets.add(ticket)
        ticket.task = self._loop.create_task(self._run(ticket))

    async def _run(self, ticket: Ticket) -> None:
        """Fetch a URL, with as many hops and attempts as needed, and report the result."""
        try:
            reply = await self._persist(ticket)
        except FetchError as error:
            self._finish(ticket, None, error)
        except Exception as defect:
            logger.exception("%s", ticket.url.text)
            self._finish(ticket, None, FetchError(reason="defect", message=repr(defect)))
        else:
            self._finish(ticket, reply, None)

    async def _persist(self, ticket: Ticket) -> Reply:
        """Return the reply at the end of all redirects, retrying if that may help."""
        limits = self._limits
        while True:
            try:
                reply = await self._request(ticket.url, head_only=ticket.head_only)
                location = redirect_of(reply)
                if location is None:
                    return reply
                self._budget.give_back(len(reply.body))
                self._hop(ticket, location)
            except FetchError as error:
                if error.reason == "host_down":
                    raise
                ticket.attempts += 1
                wait = max(backoff(ticket.attempts), error.retry_after or 0.0)
                tried_enough = ticket.attempts > limits.retries or wait > limits.longest_wait
                if tried_enough or not error.passing:
                    raise
                await asyncio.sleep(wait)

    async def _request(self, url: Url, *, head_only: bool) -> Reply:
        """Make a request when its turn has come, if the host and the user permit it."""
        if self._access.respect_robots:
            delay = await self._robots.check(url)
            if delay:
                self._turns.slow_down(url.origin, delay)
        async with self._turns.at(url.origin):
            reply = await self._get(url, self._check_head, head_only=head_only)
            try:
                check_status(reply)
            except FetchError:
                self._budget.give_back(len(reply.body))
                raise
            return reply

    async def _get(self, url: Url, check_head: CheckHead, *, head_only: bool = False) -> Reply:
        limits = self._limits
        addresses: list[str] = []
        if not self._access.proxy:
            try:
                async with asyncio.timeout(limits.connect_timeout):
                    addresses = await self._resolver.resolve(url.host)
            except TimeoutError:
                message = f"{url.host}: no answer in {limits.connect_timeout:g} s"
                raise FetchError(
                    reason="dns_timeout", message=message, passing=True, host_failed=True
                ) from None
        reply = await self._transport.get(
            self._multi, self._budget, url, addresses, check_head, head_only=head_only
        )
        if is_ok(reply) and not head_only:
            await self._decoder.decode(reply)
        return reply

    def _check_head(self, reply: Reply) -> None:
        if is_ok(reply):
            respected = self._access.respect_opt_outs
            note_opt_out(reply, self._access.product_token, respected=respected)

    async def _follow(self, url: Url) -> Reply:
        """Return the reply after all redirects; each hop waits for its turn, like any request.

        Raises:
            FetchError: there is no reply, or a server error: 429, or 500 and above.
        """
        for _ in range(self._limits.redirects + 1):
            reply = await self._visit(url)
            location = redirect_of(reply)
            if location is None:
                return reply
            url = join(url, location, self._ports)
        raise FetchError(reason="too_many_redirects", message=url.host)

    async def _visit(self, url: Url) -> Reply:
        async with self._turns.at(url.origin):
            reply = await self._get(url, _take_any)
            self._budget.give_back(len(reply.body))
            if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= _SERVER_ERROR:
                check_status(reply)
            return reply

    def _hop(self, ticket: Ticket, location: str) -> None:
        """Redirect a URL; the target is checked and queued like any other."""
        ticket.hops += 1
        if ticket.hops > self._limits.redirects:
            message = f"{ticket.url.host}: over {self._limits.redirects}"
            raise FetchError(reason="too_many_redirects", message=message)
        ticket.url = join(ticket.url, location, self._ports)

    def _cancel(self, ticket: Ticket) -> None:
        error = FetchError(reason="straggler", message=ticket.url.host, passing=True)
        self._finish(ticket, None, error)
        if ticket.task is not None:
            ticket.task.cancel()

    def _finish(self, ticket: Ticket, reply: Reply | None, error: FetchError | None) -> None:
        if error is not None:
            error.host = ticket.url.host
        if ticket.finished:
            self._budget.give_back(0 if reply is None else len(reply.body))
        else:
            ticket.finished = True
            self._tickets.discard(ticket)
            ticket.on_done(Fetched(reply, error, ticket.attempts + (reply is not None)))


def _take_any(_reply: Reply) -> None:
    """Accept every head."""
