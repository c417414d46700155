import asyncio
import queue
import socket
import time

import pytest

from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.fetcher import Fetcher
from image_toolkit.crawl.multi import Multi
from image_toolkit.crawl.transfer import Transport
from image_toolkit.crawl.urls import Url
from tests.image_toolkit.crawl.conftest import ACCESS, QUICK, TRUSTED, reasons

HOSTILE = {
    "/ok/1": "ok",
    "/gzip": "ok",
    "/to/?/ok/2": "ok",
    "/drip": "too_slow",
    "/silence": "timeout",
    "/endless": "too_large",
    "/huge": "too_large",
    "/gzip-bomb": "too_large",
    "/cut": "incomplete_body",
    "/reset": "connection_reset",
    "/garbage": "invalid_response",
    "/headers": "invalid_response",
    "/loop": "too_many_redirects",
    "/to/?http://127.0.0.2:{port}/ok": "private_address",
    "/to/?http://169.254.169.254/latest/meta-data": "private_address",
    "/to/?http://metadata.test/": "private_address",
    "/to/?http://inside.test:{port}/ok": "private_address",
    "/to/?file:///etc/passwd": "scheme_not_allowed",
    "/to/?http://user:pass@127.0.0.1:{port}/ok": "credentials_in_url",
    "/to/?http://[::1]:{port}/ok": "private_address",
    "/to/?http://[::ffff:127.0.0.2]:{port}/ok": "private_address",
    "/to/?http://[64:ff9b::7f00:2]:{port}/ok": "private_address",
    "/to/?http://2130706434:{port}/ok": "private_address",
    "/to/?http://0x7f.2:{port}/ok": "private_address",
    "/to/?http://no-such-name.invalid/": "dns_failure",
    "/status/401": "http_401",
    "/status/403": "http_403",
    "/status/404": "http_404",
    "/status/410": "http_410",
    "/status/429": "http_429",
    "/status/429?1": "http_429",
    "/status/500": "http_500",
    "/status/503": "http_503",
    "/status/204": "http_204",
    "/status/304": "http_304",
}


def test_every_fault_of_a_host_has_its_reason(host, fetch):
    """A fault of whatever kind ends within the deadline, with a reason of its own."""
    found = fetch(*[host.url + path.format(port=host.port) for path in HOSTILE])
    assert dict(zip(HOSTILE, reasons(found), strict=True)) == HOSTILE
    assert host.reached["127.0.0.2"] == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "empty_url"),
        ("", "empty_url"),
        ("   ", "empty_url"),
        ("http://", "invalid_url"),
        ("no url at all", "scheme_not_allowed"),
        ("ftp://good.test/x", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("data:image/png;base64,AA==", "scheme_not_allowed"),
        ("http://good.test:99999/", "invalid_url"),
        ("http://good.test\\@inside.test/", "invalid_url"),
        ("http://good.test/\r\nHost: inside.test", "invalid_url"),
        ("http://user@good.test/", "credentials_in_url"),
        ("http://" + "a" * 300 + ".test/", "invalid_url"),
        ("http://good.test/" + "a" * 9000, "url_too_long"),
        ("http://[::1/", "invalid_url"),
        ("http://.../", "invalid_url"),
        ("http://☃☃\u202e.test/", "invalid_url"),
        ("http://inside.test/", "private_address"),
        ("http://both.test/", "private_address"),
        ("http://0.0.0.0/", "private_address"),
    ],
)
def test_a_url_that_leads_nowhere_good_is_refused(fetch, url, reason):
    """A URL is refused for what it is, before anything is sent."""
    assert reasons(fetch(url)) == [reason]


def test_a_name_that_changes_its_address_gains_nothing(host, fetch, names):
    """The connection goes to the address that was checked, whatever the name says afterwards."""
    answers = iter([["127.0.0.1"]])
    names.clear()

    class Rebinding(dict):
        def __contains__(self, name):
            return True

        def __getitem__(self, name):
            return next(answers, ["127.0.0.2"])

    url = f"http://rebind.test:{host.port}"
    found = fetch(f"{url}/ok/1", f"{url}/ok/2", f"{url}/to/?/ok/3", lookup=Rebinding().__getitem__)
    assert reasons(found) == ["ok", "ok", "ok"]
    assert host.reached["127.0.0.2"] == 0


def test_the_last_check_is_on_the_socket_itself(host):
    """An address that slipped past the resolver is still refused where the socket is opened."""

    async def get(address):
        multi, budget = Multi(), ByteBudget(1 << 20, lambda: None)
        transport = Transport("bot/1.0", AddressPolicy((TRUSTED,)), FetchLimits(**QUICK))
        url = Url("http", "good.test", host.port, f"http://good.test:{host.port}/ok/1")
        try:
            reply = await transport.get(multi, budget, url, [address], lambda _reply: None)
        except FetchError as error:
            return error.reason
        else:
            return reply.status
        finally:
            multi.close()

    assert asyncio.run(get("127.0.0.1")) == 200
    assert asyncio.run(get("127.0.0.2")) == "private_address"
    assert host.reached["127.0.0.2"] == 0


def test_the_environment_names_no_proxy(host, fetch, monkeypatch):
    """A proxy is used only when configured: it would undo the check of addresses."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.2:{host.port}")
    assert reasons(fetch(f"{host.url}/ok/1")) == ["ok"]
    assert host.reached["127.0.0.2"] == 0


def test_a_configured_proxy_is_asked(host, fetch):
    """With a proxy, it is the proxy that gets the request, and looks the name up."""
    fetch("http://example.invalid/ok/1", proxy=host.url)
    assert host.hits["http://example.invalid/ok/1"] == 1


def test_the_environment_leads_past_no_proxy(host, fetch, monkeypatch):
    """NO_PROXY, which names just the hosts that are private, opens no way to them."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.2,.invalid")
    fetch(f"http://127.0.0.2:{host.port}/ok/1", proxy=host.url)
    assert host.reached["127.0.0.2"] == 0
    assert host.hits[f"http://127.0.0.2:{host.port}/ok/1"] == 1


def test_a_proxy_is_shown_its_password_alone(host, fetch):
    """It signs in there, and what is told of a failure does not name it."""
    proxy = host.url.replace("://", "://me:hush-hush@")
    (found,) = fetch("http://example.invalid/status/404", proxy=proxy)
    assert host.signed == {"Basic bWU6aHVzaC1odXNo"}
    (lost,) = fetch("http://example.invalid/ok/1", proxy="http://me:hush-hush@127.0.0.1:1")
    assert "hush" not in repr([found, lost, AccessPolicy(proxy=proxy)])


def test_ports_are_those_allowed(host, fetch):
    """Only 80 and 443 are asked unless others are allowed, after redirects too."""
    (found,) = fetch(f"{host.url}/ok/1", allowed_ports=[80, 443])
    assert reasons([found]) == ["port_not_allowed"]
    assert f"127.0.0.1:{host.port}: not one of allowed_ports" in found.error.message
    found = fetch(f"{host.url}/to/?http://127.0.0.1:22/", allowed_ports=[80, 443, host.port])
    assert reasons(found) == ["port_not_allowed"]


def test_what_may_pass_is_tried_again(host, fetch):
    """A 503 that passes gives the image in the end; a 404 is asked for once."""
    found = fetch(f"{host.url}/flaky/2/a", f"{host.url}/status/404", limits={"retries": 2})
    assert reasons(found) == ["ok", "http_404"]
    assert [f.attempts for f in found] == [3, 1]
    assert host.hits["/flaky/2/a"] == 3
    assert host.hits["/status/404"] == 1


def test_retry_after_is_waited_for(host, fetch):
    """A host that asks for two seconds gets them, and one that asks for an hour is left alone."""
    start = time.monotonic()
    found = fetch(f"{host.url}/status/429?2", limits={"retries": 1})
    assert reasons(found) == ["http_429"]
    assert found[0].attempts == 2
    assert time.monotonic() - start >= 2
    found = fetch(f"{host.url}/status/503?3600", limits={"retries": 5})
    assert [found[0].attempts, host.hits["/status/503?3600"]] == [1, 1]


def test_a_host_gets_no_more_requests_at_once_than_allowed(host, fetch):
    """The limit on connections holds for each host, and connections are used again."""
    urls = [f"{host.url}/slow/20/{number}" for number in range(30)]
    assert set(reasons(fetch(*urls, limits={"connections_per_host": 3}))) == {"ok"}
    assert host.most_active == 3
    assert host.connections == 3


def test_a_host_gets_no_more_requests_a_second_than_allowed(host, fetch):
    """Starts of requests to a host keep their distance, so that eight have seven gaps."""
    urls = [f"{host.url}/ok/{number}" for number in range(8)]
    start = time.monotonic()
    assert set(reasons(fetch(*urls, limits={"requests_per_second_per_host": 10}))) == {"ok"}
    assert time.monotonic() - start >= 0.69


def test_hosts_take_turns(host, fetch, names):
    """A host with few URLs does not wait for one with many."""
    names["other.test"] = ["127.0.0.1"]
    many = [f"http://good.test:{host.port}/slow/20/{number}" for number in range(40)]
    few = [f"http://other.test:{host.port}/slow/21/{number}" for number in range(2)]
    fetch(*many, *few, limits={"connections_per_host": 2, "n_connections": 2})
    asked = list(host.hits)
    assert max(asked.index(f"/slow/21/{number}") for number in range(2)) < 8


def test_a_dead_host_is_left_alone(fetch):
    """After failures in a row the rest of a host's URLs are given up at once."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(100)]
        found = reasons(fetch(*urls, limits={"failures_per_host": 5, "connections_per_host": 2}))
    assert found.count("connect_failed") in (5, 6)
    assert found.count("host_down") == 100 - found.count("connect_failed")


def test_who_asks_is_no_secret(host, fetch):
    """The user agent is the one given, with its contact."""
    fetch(f"{host.url}/ok/1")
    assert host.agents == {"test-bot/1.0 (+mailto:bot@example.org)"}


def test_a_cancelled_url_is_a_straggler(host):
    """What is cancelled ends at once, and its connection is closed."""
    ended = []
    fetcher = Fetcher(
        FetchLimits(timeout=60), AccessPolicy(**ACCESS), addresses=AddressPolicy((TRUSTED,))
    )
    fetcher.start()
    ticket = fetcher.submit(f"{host.url}/silence", ended.append)
    while not host.active:
        time.sleep(0.01)
    fetcher.cancel(ticket)
    fetcher.close()
    assert reasons(ended) == ["straggler"]


def test_bodies_that_nobody_takes_hold_the_next_back(host):
    """No transfer starts while too many bytes wait; it does as soon as they are taken."""
    fetched = queue.SimpleQueue()
    limits = FetchLimits(**{**QUICK, "waiting_bytes": 500, "n_connections": 1})
    fetcher = Fetcher(limits, AccessPolicy(**ACCESS), addresses=AddressPolicy((TRUSTED,)))
    fetcher.start()
    for number in range(3):
        fetcher.submit(f"{host.url}/ok/{number}", fetched.put)
    first = fetched.get(timeout=10)
    time.sleep(0.1)
    assert fetched.empty()
    assert sum(host.hits.values()) == 1
    fetcher.release(len(first.reply.body))
    second = fetched.get(timeout=10)
    assert [second.reply.status, sum(host.hits.values())] == [200, 2]
    fetcher.close()


def test_many_large_bodies_at_once_are_not_all_kept(host, fetch):
    """Beyond the budget, bodies that still grow are ended, to be tried again later."""
    urls = [f"{host.url}/together/40?{number}" for number in range(40)]
    limits = {"waiting_bytes": 1 << 20, "timeout": 3.0, "slow_seconds": 60}
    found = reasons(fetch(*urls, limits=limits))
    assert found.count("timeout") <= (4 << 20) // 500_000
    assert set(found) == {"no_memory", "timeout"}
