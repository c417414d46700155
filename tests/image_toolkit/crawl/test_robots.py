import asyncio
import time
from collections import Counter
from contextlib import suppress

import pytest

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.robots import Robots
from image_toolkit.crawl.urls import parse_url
from tests.image_toolkit.crawl.conftest import reasons
from tests.image_toolkit.crawl.fault_host import reply


def test_hosts_that_redirect_to_a_victim_are_paced(host, fetch, names):
    """Each hop to a robots.txt waits for its turn at the host it goes to, whoever sent it there."""
    names.update(
        {f"host{n}.test": ["127.0.0.1"] for n in range(12)}, **{"victim.test": ["127.0.0.1"]}
    )
    victim = f"http://victim.test:{host.port}"
    seen = []

    def robots(name):
        if not name.startswith("victim"):
            return reply(302, Location=f"{victim}/slow/30?{name}")
        seen.append(name)
        return reply(404)

    host.robots = robots
    urls = [f"http://host{n}.test:{host.port}/ok/{n}" for n in range(12)]
    limits = {"requests_per_second_per_host": 10.0, "connections_per_host": 2}
    start = time.monotonic()
    found = fetch(*urls, respect_robots=True, limits=limits)
    assert reasons(found) == ["ok"] * 12
    at_victim = [at for path, at in zip(host.asked, host.times, strict=True) if "slow" in path]
    assert len(at_victim) == 12
    assert at_victim[-1] - start >= 1.0


def test_a_victim_that_is_down_is_left_alone(host, fetch, names):
    """Errors of a host that robots.txt redirects lead to count against it, as any others do."""
    names.update({f"host{n}.test": ["127.0.0.1"] for n in range(30)})
    host.robots = reply(302, Location=f"http://good.test:{host.port}/status/503")
    urls = [f"http://host{n}.test:{host.port}/ok/1" for n in range(30)]
    limits = {"failures_per_host": 3, "connections_per_host": 1}
    found = reasons(fetch(*urls, respect_robots=True, limits=limits))
    assert host.hits["/status/503"] == 3
    assert Counter(found) == {"robots_unreachable": 3, "host_down": 27}


def test_a_robots_txt_that_cannot_be_had_is_asked_for_rarely(host, fetch):
    """A hundred URLs of a host whose robots.txt fails cost a request each time it is tried."""
    host.robots = reply(503)
    urls = [f"{host.url}/ok/{n}" for n in range(100)]
    found = fetch(*urls, respect_robots=True, limits={"connections_per_host": 1, "retries": 1})
    assert set(reasons(found)) == {"robots_unreachable"}
    assert {f.attempts for f in found} == {2}
    assert host.hits["/robots.txt"] <= 3
    assert host.hits["/ok/1"] == 0


def test_a_robots_txt_that_comes_back_is_obeyed(host, fetch):
    """A failure is remembered for a moment, not for good."""
    asked = []

    def robots(name):
        asked.append(name)
        return reply(503) if len(asked) == 1 else reply(200, b"User-agent: *\nDisallow: /size")

    host.robots = robots
    urls = [f"{host.url}/ok/1", f"{host.url}/size/64x64"]
    found = fetch(*urls, respect_robots=True, limits={"retries": 2})
    assert reasons(found) == ["ok", "robots_txt"]
    assert len(asked) == 2


def test_urls_of_many_hosts_wait_for_their_robots_txt_without_a_deadlock(host, fetch, names):
    """With a single connection in all, and one a host, everything is fetched."""
    names.update({f"host{n}.test": ["127.0.0.1"] for n in range(8)})
    urls = [f"http://host{n % 8}.test:{host.port}/ok/{n}" for n in range(24)]
    limits = {"n_connections": 1, "connections_per_host": 1}
    assert reasons(fetch(*urls, respect_robots=True, limits=limits)) == ["ok"] * 24


@pytest.mark.parametrize("status", [200, 404, 0])
def test_what_is_remembered_is_bounded(status):
    """Of ever more hosts, rules and failures alike, no more are remembered than fit."""
    text = b"User-agent: *\n" + b"Disallow: /a\n" * 100

    async def fetch(url):
        if not status:
            raise FetchError(reason="connect_failed", passing=True)
        return Reply(url, status, body=bytearray(text))

    async def run():
        robots = Robots(fetch, "bot", most_bytes=50_000)
        for number in range(2000):
            with suppress(FetchError):
                await robots.check(parse_url(f"http://host{number}.test/a.jpg"))
        assert robots.hosts <= 50_000 // 512
        assert not robots._under_way

    asyncio.run(run())
