"""A host that misbehaves, a resolver that knows a few names, and a fetcher pointed at them."""

import ipaddress
import queue
import socket

import pytest

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_limits import Limits
from image_toolkit.crawl.fetcher import Fetcher, Settings
from tests.image_toolkit.crawl.fault_host import FaultHost

TRUSTED = ipaddress.ip_network("127.0.0.1/32")
QUICK = {
    "connect_timeout": 1.0,
    "timeout": 2.0,
    "slow_seconds": 1,
    "body_bytes": 1 << 20,
    "host_connections": 64,
    "host_interval": 0.0,
    "host_failures": 1_000_000,
    "retries": 0,
}


@pytest.fixture
def host():
    """Return a fault host that listens, and stops at the end of the test."""
    with FaultHost() as host:
        yield host


@pytest.fixture
def names():
    """Return the names that the test's resolver knows, with their addresses."""
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

    def run(*urls, limits=None, **settings):
        settings = {
            "user_agent": "test-bot/1.0 (+mailto:bot@example.org)",
            "limits": Limits(**{**QUICK, **(limits or {})}),
            "addresses": AddressPolicy((TRUSTED,)),
            "ports": None,
            "lookup": lookup,
            "respect_robots": False,
        } | settings
        fetcher = Fetcher(Settings(**settings))
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
