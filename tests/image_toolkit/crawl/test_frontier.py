import asyncio
from types import SimpleNamespace

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.frontier import Frontier
from image_toolkit.crawl.resolver import Resolver
from tests.moved_clock import run_at_once


def url_of(number):
    """Return a URL of host `number`."""
    return SimpleNamespace(origin=f"http://host{number}.test:80")


def crawl(work, **limits):
    """Run `work` with a frontier of 100 hosts at most, its started URLs and its refusals."""

    async def run():
        started, refused = [], []
        frontier = Frontier(
            FetchLimits(**{"requests_per_second_per_host": 0, **limits}),
            lambda request: started.append(request.origin),
            lambda request, error: refused.append((request.origin, error.reason)),
            lambda: True,
            most_hosts=100,
        )
        await work(frontier, started, refused)

    run_at_once(run())


def test_hosts_without_work_are_forgotten():
    """Over many hosts, no more are remembered than allowed, and each is asked."""

    async def work(frontier, started, _refused):
        most = 0
        for number in range(5000):
            frontier.put(url_of(number))
            frontier.done(url_of(number).origin, None)
            most = max(most, frontier.hosts)
        assert most <= 100
        assert len(started) == 5000

    crawl(work)


def test_hosts_with_work_are_not_forgotten():
    """A host keeps its queue and its count of requests under way, however many others come."""

    async def work(frontier, started, _refused):
        busy = url_of("-busy")
        for _ in range(3):
            frontier.put(busy)
        for number in range(1000):
            frontier.put(url_of(number))
            frontier.done(url_of(number).origin, None)
        assert started.count(busy.origin) == 1
        frontier.done(busy.origin, None)
        assert started.count(busy.origin) == 2
        assert frontier.hosts <= 100

    crawl(work, connections_per_host=1)


def test_a_host_gets_no_more_requests_a_second_than_allowed():
    """Starts of requests to a host keep their distance."""

    async def work(frontier, started, _refused):
        for _ in range(8):
            frontier.put(url_of(0))
        for count in range(1, 8):
            await asyncio.sleep(0.09)
            assert len(started) == count
            await asyncio.sleep(0.01 + 1e-6)
        assert len(started) == 8

    crawl(work, requests_per_second_per_host=10, connections_per_host=8)


def test_the_pause_between_requests_holds_when_many_hosts_come_between():
    """A host that was asked a moment ago is remembered until it may be asked again."""

    async def work(frontier, started, _refused):
        first = url_of("-first")
        frontier.put(first)
        frontier.done(first.origin, None)
        for number in range(1000):
            frontier.put(url_of(number))
            frontier.done(url_of(number).origin, None)
        frontier.put(first)
        assert started.count(first.origin) == 1
        await asyncio.sleep(0.3)
        assert started.count(first.origin) == 2
        for number in range(1000, 2200):  # by now the pauses of the first thousand are over
            frontier.put(url_of(number))
            frontier.done(url_of(number).origin, None)
        assert frontier.hosts <= 1300

    crawl(work, requests_per_second_per_host=4)


def test_a_pause_that_a_host_asks_for_holds_from_then_on():
    """A delay that is known before the first URL holds for that one, and is not begun anew."""

    async def work(frontier, started, _refused):
        slow = url_of("-slow")
        frontier.slow_down(slow.origin, 0.2)
        frontier.put(slow)
        await asyncio.sleep(0.1)
        frontier.slow_down(slow.origin, 0.2)
        assert not started
        await asyncio.sleep(0.15)
        assert started == [slow.origin]

    crawl(work)


def test_a_host_that_rests_is_remembered():
    """A host that failed too often is left alone, however many others come."""

    async def work(frontier, _started, refused):
        dead = url_of("-dead")
        failure = FetchError(reason="connect_failed", host_failed=True)
        for _ in range(2):
            frontier.put(dead)
            frontier.done(dead.origin, failure)
        for number in range(1000):
            frontier.put(url_of(number))
            frontier.done(url_of(number).origin, None)
        frontier.put(dead)
        assert refused == [(dead.origin, "host_down")]

    crawl(work, failures_per_host=2)


def test_the_resolver_remembers_the_hosts_asked_last(monkeypatch):
    """Answers are kept for so many hosts; the others are looked up again."""
    monkeypatch.setattr("image_toolkit.crawl.resolver._HOSTS", 50)
    asked = []

    def lookup(host):
        asked.append(host)
        return ["93.184.215.14"]

    async def work():
        resolver = Resolver(AddressPolicy(), lookup)
        for number in range(200):
            await resolver.resolve(f"host{number}.test")
            await resolver.resolve("often.test")
        assert asked.count("often.test") == 1
        assert len(resolver._known) == 50
        await resolver.resolve("host0.test")
        assert asked.count("host0.test") == 2
        resolver.close()

    asyncio.run(work())
