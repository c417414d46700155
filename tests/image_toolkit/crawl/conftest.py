"""A misbehaving host, a resolver with a few names, and a fetcher that uses them."""

import ipaddress
import queue
import socket

import pytest

from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.fetcher import Fetcher
from tests.image_toolkit.crawl.fault_host import FaultHost

TRUSTED = ipaddress.ip_network("127.0.0.1/32")
QUICK = {
    "connect_timeout": 10.0,
    "timeout": 6.0,  # so that a machine that stands still for a second makes no difference
    "slow_seconds": 2,
    "max_bytes": 1 << 20,
    "connections_per_host": 64,
    "requests_per_second_per_host": 0.0,
    "failures_per_host": 1_000_000,
    "retries": 0,
}
ACCESS = {
    "user_agent": "test-bot/1.0",
    "contact": "mailto:bot@example.org",
    "allowed_ports": (),
    "respect_robots": False,
}


def reasons(fetched):
    """Return why each URL failed, or ok."""
    return [f.error.reason if f.error else "ok" for f in fetched]


@pytest.fixture
def host():
    """Return a fault host that listens, and stops at the end of the test."""
    with FaultHost() as host:
        yield host


@pytest.fixture
def names():
    """Return the names that the test's resolver has addresses for."""
    return {
        "good.test": ["127.0.0.1"],
        "inside.test": ["127.0.0.2"],
        "metadata.test": ["169.254.169.254"],
        "both.test": ["127.0.0.1", "127.0.0.2"],
    }


@pytest.fixture
def fetch(names):
    """Return a function that fetches URLs and returns a `Fetched` for each, in their order."""

    def lookup(name):
        if name in names:
            return names[name]
        return [entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]

    def run(*urls, limits=None, lookup=lookup, ca_file="", **access):
        fetcher = Fetcher(
            FetchLimits(**{**QUICK, **(limits or {})}),
            AccessPolicy(**{**ACCESS, **access}),
            addresses=AddressPolicy((TRUSTED,)),
            lookup=lookup,
            ca_file=ca_file,
        )
        fetcher.start()
        results = queue.SimpleQueue()
        try:
            for number, url in enumerate(urls):
                fetcher.submit(url, lambda fetched, number=number: results.put((number, fetched)))
            found = dict(results.get(timeout=30) for _ in urls)
        finally:
            fetcher.close()
        return [found[number] for number in range(len(urls))]

    return run
