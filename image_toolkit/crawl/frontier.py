"""Which URL is fetched next: hosts take turns, and none gets more than it should bear."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import Limits


class _HasHost(Protocol):
    @property
    def origin(self) -> str: ...


Job = TypeVar("Job", bound=_HasHost)


@dataclass
class _Host(Generic[Job]):
    queue: deque[Job] = field(default_factory=deque)
    active: int = 0
    ready: bool = False
    timer: asyncio.TimerHandle | None = None
    interval: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    last_failure: str = ""
    rests_until: float = 0.0


class Frontier(Generic[Job]):
    """Queues by host, on one event loop.

    `start` is called with each URL whose turn has come, `refuse` with those of a host that is left
    alone for a while. While `has_room` says no, nothing is started; `pump` when it would say yes.
    """

    def __init__(
        self,
        limits: Limits,
        start: Callable[[Job], None],
        refuse: Callable[[Job, FetchError], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._limits = limits
        self._start = start
        self._refuse = refuse
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._hosts: dict[str, _Host[Job]] = {}
        self._ready: deque[_Host[Job]] = deque()
        self._active = 0

    def put(self, job: Job) -> None:
        """Queue a URL."""
        host = self._hosts.get(job.origin)
        if host is None:
            host = self._hosts[job.origin] = _Host(interval=self._limits.host_interval)
        if host.rests_until > self._loop.time():
            self._refuse(job, _resting(job.origin, host.last_failure))
            return
        host.queue.append(job)
        self._offer(host)
        self.pump()

    def done(self, origin: str, error: FetchError | None) -> None:
        """Take note of how a URL that was started at a host went, and start the next."""
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
        """Leave at least `interval` seconds between two requests to a host."""
        host = self._hosts[origin]
        host.interval = max(host.interval, interval)
        host.not_before = max(host.not_before, self._loop.time() + interval)

    def _count_failure(self, host: _Host[Job], error: FetchError) -> None:
        host.failures += 1
        host.last_failure = error.reason
        now = self._loop.time()
        if error.retry_after is not None:
            pause = min(error.retry_after, self._limits.longest_wait)
            host.not_before = max(host.not_before, now + pause)
        if host.failures >= self._limits.host_failures:
            host.rests_until = now + self._limits.host_rest
            queue, host.queue = host.queue, deque()
            for job in queue:
                self._refuse(job, _resting(job.origin, host.last_failure))

    def _offer(self, host: _Host[Job]) -> None:
        """Give a host its place in the round, now or when it may be asked again."""
        if host.ready or not host.queue or host.active >= self._limits.host_connections:
            return
        if host.not_before > self._loop.time():
            if host.timer is None:
                host.timer = self._loop.call_at(host.not_before, self._wake, host)
            return
        host.ready = True
        self._ready.append(host)

    def _wake(self, host: _Host[Job]) -> None:
        host.timer = None
        self._offer(host)
        self.pump()

    def pump(self) -> None:
        """Start what may be started."""
        limits = self._limits
        while self._ready and self._active < limits.connections and self._has_room():
            host = self._ready.popleft()
            host.ready = False
            if not host.queue:
                continue
            host.active += 1
            self._active += 1
            host.not_before = max(host.not_before, self._loop.time() + host.interval)
            job = host.queue.popleft()
            self._offer(host)
            self._start(job)


def _resting(origin: str, last_failure: str) -> FetchError:
    message = f"{origin} failed too often in a row and is left alone; at last: {last_failure}"
    return FetchError(reason="host_down", message=message, passing=True)
