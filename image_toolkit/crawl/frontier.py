"""Which URL is fetched next: hosts take turns, and none gets more load than it should."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import FetchLimits

_HOSTS: Final = 20_000


class _HasHost(Protocol):
    @property
    def origin(self) -> str: ...


Request = TypeVar("Request", bound=_HasHost)


@dataclass
class _Host(Generic[Request]):
    queue: deque[Request] = field(default_factory=deque)
    active: int = 0
    ready: bool = False
    timer: asyncio.TimerHandle | None = None
    interval: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    last_failure: str = ""
    rests_until: float = 0.0

    def is_forgettable(self, now: float) -> bool:
        """Return whether nothing is in progress here, and no pause has to be kept."""
        in_use = self.queue or self.active or self.ready or self.timer is not None
        return not in_use and max(self.not_before, self.rests_until) <= now


class Frontier(Generic[Request]):
    """One queue per host, on one event loop.

    `start` is called with each URL whose turn has come, `refuse` with those of a host that is being
    left alone. Nothing is started while `has_room` returns False; call `pump` when that changes.

    Beyond `most_hosts`, idle hosts are forgotten, least recently used first, once no pause has to
    be kept for them. All that is lost is their count of consecutive failures.
    """

    def __init__(
        self,
        limits: FetchLimits,
        start: Callable[[Request], None],
        refuse: Callable[[Request, FetchError], None],
        has_room: Callable[[], bool],
        most_hosts: int = _HOSTS,
    ) -> None:
        self._limits = limits
        self._start = start
        self._refuse = refuse
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._hosts: dict[str, _Host[Request]] = {}
        self._ready: deque[_Host[Request]] = deque()
        self._active = 0
        self._most_hosts = self._forget_from = most_hosts

    @property
    def hosts(self) -> int:
        """The number of hosts remembered."""
        return len(self._hosts)

    def put(self, request: Request) -> None:
        """Queue a URL."""
        host = self._host(request.origin)
        if host.rests_until > self._loop.time():
            self._refuse(request, _resting(request.origin, host.last_failure))
            return
        host.queue.append(request)
        self._offer(host)
        self.pump()

    def done(self, origin: str, error: FetchError | None) -> None:
        """Record the outcome of a URL that was started, and start the next."""
        host = self._hosts[origin]
        host.active -= 1
        self._active -= 1
        if error is None or not error.host_failed:
            host.failures = 0
        else:
            self._count_failure(host, error)
        self._offer(host)
        self.pump()

    def slow_down(self, origin: str, interval: float) -> None:
        """From now on, leave at least `interval` seconds between two requests to a host."""
        host = self._host(origin)
        if interval > host.interval:
            host.interval = interval
            host.not_before = max(host.not_before, self._loop.time() + interval)

    def _host(self, origin: str) -> _Host[Request]:
        """Return the state of a host, created if needed."""
        host = self._hosts.pop(origin, None)
        if host is None:
            self._forget_hosts()
            host = _Host(interval=self._limits.host_interval)
        self._hosts[origin] = host  # at the end: ordered by last use
        return host

    def _forget_hosts(self) -> None:
        """Make room for more hosts.

        Half of them are dropped at once, and the next time is when as many have come as were kept,
        which makes the amortised cost per host small.
        """
        if len(self._hosts) < self._forget_from:
            return
        now = self._loop.time()
        idle = [origin for origin, host in self._hosts.items() if host.is_forgettable(now)]
        for origin in idle[: len(self._hosts) - self._most_hosts // 2]:
            del self._hosts[origin]
        self._forget_from = max(self._most_hosts, 2 * len(self._hosts))

    def _count_failure(self, host: _Host[Request], error: FetchError) -> None:
        host.failures += 1
        host.last_failure = error.reason
        now = self._loop.time()
        if error.retry_after is not None:
            pause = min(error.retry_after, self._limits.longest_wait)
            host.not_before = max(host.not_before, now + pause)
        if host.failures >= self._limits.failures_per_host:
            host.rests_until = now + self._limits.host_rest
            queue, host.queue = host.queue, deque()
            for request in queue:
                self._refuse(request, _resting(request.origin, host.last_failure))

    def _offer(self, host: _Host[Request]) -> None:
        """Put a host in line, now or when it may be asked again."""
        if host.ready or not host.queue or host.active >= self._limits.connections_per_host:
            return
        if host.not_before > self._loop.time():
            if host.timer is None:
                host.timer = self._loop.call_at(host.not_before, self._wake, host)
            return
        host.ready = True
        self._ready.append(host)

    def _wake(self, host: _Host[Request]) -> None:
        host.timer = None
        self._offer(host)
        self.pump()

    def pump(self) -> None:
        """Start whatever may start."""
        limits = self._limits
        while self._ready and self._active < limits.n_connections and self._has_room():
            host = self._ready.popleft()
            host.ready = False
            if not host.queue:
                continue
            host.active += 1
            self._active += 1
            host.not_before = max(host.not_before, self._loop.time() + host.interval)
            request = host.queue.popleft()
            self._offer(host)
            self._start(request)


def _resting(origin: str, last_failure: str) -> FetchError:
    message = f"{origin} failed too often in a row and is left alone; at last: {last_failure}"
    return FetchError(reason="host_down", message=message, passing=True)
