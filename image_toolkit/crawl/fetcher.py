"""The door: URLs in from any thread, bodies or reasons out, as they come."""

import asyncio
import logging
import threading
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import Limits
from image_toolkit.crawl.fetch_retry import backoff, check_status, is_ok, redirect_of
from image_toolkit.crawl.frontier import Frontier
from image_toolkit.crawl.multi import Multi
from image_toolkit.crawl.optouts import check_opt_outs
from image_toolkit.crawl.resolver import Lookup, Resolver, system_lookup
from image_toolkit.crawl.robots import Robots
from image_toolkit.crawl.transfer import CheckHead, Reply, Transport
from image_toolkit.crawl.urls import Url, join, parse_url

logger = logging.getLogger(__name__)

USUAL_PORTS: Final = frozenset({80, 443})


@dataclass(frozen=True)
class Settings:
    """Whom to ask, as whom, and what to respect.

    `user_agent` begins with the product token, such as `name/1.0`, that robots.txt may name. With
    `ports` None any port is allowed.
    """

    user_agent: str
    limits: Limits = field(default_factory=Limits)
    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    ports: Container[int] | None = USUAL_PORTS
    respect_robots: bool = True
    respect_opt_outs: bool = True
    proxy: str = ""
    ca_file: str = ""
    lookup: Lookup = system_lookup


@dataclass(frozen=True)
class Fetched:
    """A reply, or the error that ended all attempts."""

    reply: Reply | None
    error: FetchError | None
    attempts: int


class Ticket:
    """A URL on its way. Its `origin` is that of the hop at hand."""

    def __init__(self, url: Url, tell: Callable[[Fetched], None]) -> None:
        self.url = url
        self.tell = tell
        self.attempts = 0
        self.hops = 0
        self.finished = False
        self.task: asyncio.Task[None] | None = None

    @property
    def origin(self) -> str:
        """The host that is asked next."""
        return self.url.origin


class Fetcher:
    """Fetches URLs on an event loop in a thread of its own, which starts with `start`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = settings.user_agent.split("/")[0].lower()
        self._transport = Transport(
            settings.user_agent,
            settings.addresses,
            settings.limits,
            settings.proxy,
            settings.ca_file,
        )
        self._tickets: set[Ticket] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)

    def start(self) -> None:
        """Start the thread and its connection pool."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._set_up(), self._loop).result()

    def close(self) -> None:
        """Close all connections and end the thread; what is on its way is told `closed`."""
        asyncio.run_coroutine_threadsafe(self._tear_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(self, url: str | None, tell: Callable[[Fetched], None]) -> Ticket | None:
        """Queue a URL; `tell` is called once, on the fetching thread unless the URL is invalid.

        Call `release` with the length of the body when it has been taken.
        """
        try:
            checked = parse_url(url, self._settings.ports)
        except FetchError as error:
            tell(Fetched(None, error, attempts=0))
            return None
        ticket = Ticket(checked, tell)
        self._loop.call_soon_threadsafe(self._accept, ticket)
        return ticket

    def release(self, count: int) -> None:
        """Say that a body of `count` bytes has been taken, so that others may follow."""
        self._budget.give_back(count)

    def cancel(self, ticket: Ticket) -> None:
        """Give a URL up: `tell` is called with reason `straggler` if it was not yet."""
        with suppress(RuntimeError):  # the loop is closed, and everything told
            self._loop.call_soon_threadsafe(self._cancel, ticket)

    async def _set_up(self) -> None:
        settings = self._settings
        self._multi = Multi()
        self._resolver = Resolver(settings.addresses, settings.lookup)
        self._robots = Robots(self._follow, settings.user_agent)
        self._budget = ByteBudget(settings.limits.waiting_bytes, self._wake)
        self._frontier: Frontier[Ticket] = Frontier(
            settings.limits, self._launch, self._refuse, self._budget.has_room
        )

    async def _tear_down(self) -> None:
        for ticket in list(self._tickets):
            self._finish(ticket, None, FetchError(reason="closed"))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._multi.close()
        self._resolver.close()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing is left to start
            self._loop.call_soon_threadsafe(self._frontier.pump)

    def _accept(self, ticket: Ticket) -> None:
        self._tickets.add(ticket)
        self._frontier.put(ticket)

    def _launch(self, ticket: Ticket) -> None:
        if ticket.finished:
            self._frontier.done(ticket.origin, None)
        else:
            ticket.task = self._loop.create_task(self._attempt(ticket))

    async def _attempt(self, ticket: Ticket) -> None:
        """Make one request, and settle what comes of it."""
        origin, error = ticket.origin, None
        try:
            reply = await self._request(ticket.url)
            location = redirect_of(reply)
            if location is None:
                self._finish(ticket, reply, None)
            else:
                self._budget.give_back(len(reply.body))
                self._hop(ticket, location)
        except FetchError as caught:
            error = caught
            self._retry_or_finish(ticket, caught)
        except Exception as defect:
            logger.exception("%s", ticket.url.text)
            self._finish(ticket, None, FetchError(reason="defect", message=repr(defect)))
        finally:
            self._frontier.done(origin, error)

    async def _request(self, url: Url) -> Reply:
        """Return the reply to a request that host and user allow."""
        settings = self._settings
        if settings.respect_robots:
            delay = await self._robots.check(url)
            if delay:
                self._frontier.slow_down(url.origin, delay)
        reply = await self._get(url, self._check_head)
        try:
            check_status(reply)
        except FetchError:
            self._budget.give_back(len(reply.body))
            raise
        return reply

    async def _get(self, url: Url, check_head: CheckHead) -> Reply:
        limits = self._settings.limits
        addresses: list[str] = []
        if not self._settings.proxy:
            try:
                async with asyncio.timeout(limits.connect_timeout):
                    addresses = await self._resolver.resolve(url.host)
            except TimeoutError:
                message = f"{url.host}: no answer in {limits.connect_timeout:g} s"
                raise FetchError(
                    reason="dns_timeout", message=message, passing=True, host_failed=True
                ) from None
        return await self._transport.get(self._multi, self._budget, url, addresses, check_head)

    def _check_head(self, reply: Reply) -> None:
        if self._settings.respect_opt_outs and is_ok(reply):
            check_opt_outs(reply, self._token)

    async def _follow(self, url: Url) -> Reply:
        """Return what a URL leads to, whatever its status."""
        for _ in range(self._settings.limits.redirects + 1):
            reply = await self._get(url, _take_any)
            self._budget.give_back(len(reply.body))
            location = redirect_of(reply)
            if location is None:
                return reply
            url = join(url, location, self._settings.ports)
        raise FetchError(reason="too_many_redirects", message=url.host)

    def _hop(self, ticket: Ticket, location: str) -> None:
        """Send a URL on to where it redirects, which is checked and queued like any other."""
        ticket.hops += 1
        if ticket.hops > self._settings.limits.redirects:
            message = f"{ticket.url.host}: over {self._settings.limits.redirects}"
            raise FetchError(reason="too_many_redirects", message=message)
        ticket.url = join(ticket.url, location, self._settings.ports)
        self._loop.call_soon(self._frontier.put, ticket)

    def _retry_or_finish(self, ticket: Ticket, error: FetchError) -> None:
        limits = self._settings.limits
        ticket.attempts += 1
        wait = max(backoff(ticket.attempts), error.retry_after or 0.0)
        if error.passing and ticket.attempts <= limits.retries and wait <= limits.longest_wait:
            self._loop.call_later(wait, self._frontier.put, ticket)
        else:
            self._finish(ticket, None, error)

    def _refuse(self, ticket: Ticket, error: FetchError) -> None:
        self._finish(ticket, None, error)

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
            ticket.tell(Fetched(reply, error, ticket.attempts + (reply is not None)))


def _take_any(_reply: Reply) -> None:
    """Refuse no head."""
