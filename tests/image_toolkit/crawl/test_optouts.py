import time

import pytest

from image_toolkit.crawl.optouts import robots_directives
from tests.image_toolkit.crawl.fault_host import reply


def reason(fetched):
    """Return why a URL failed, or ok."""
    return fetched.error.reason if fetched.error else "ok"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("X-Robots-Tag=noai", "x_robots_tag"),
        ("X-Robots-Tag=noimageai", "x_robots_tag"),
        ("X-Robots-Tag=NoIndex,+nofollow", "x_robots_tag"),
        ("X-Robots-Tag=nofollow,+noimageindex", "x_robots_tag"),
        ("X-Robots-Tag=noml", "x_robots_tag"),
        ("X-Robots-Tag=none", "x_robots_tag"),
        ("X-Robots-Tag=test-bot:+noai", "x_robots_tag"),
        ("X-Robots-Tag=*:+noindex", "x_robots_tag"),
        ("X-Robots-Tag=otherbot:+noai,+noindex", "ok"),
        ("X-Robots-Tag=otherbot:+noai,+test-bot:+noindex", "x_robots_tag"),
        ("X-Robots-Tag=unavailable_after:+25+Jun+2010+15:00:00+PST,+noai", "x_robots_tag"),
        ("X-Robots-Tag=unavailable_after:+25+Jun+2010+15:00:00+PST", "ok"),
        ("X-Robots-Tag=max-snippet:+-1", "ok"),
        ("X-Robots-Tag=all", "ok"),
        ("tdm-reservation=1", "tdm_reservation"),
        ("tdm-reservation=0", "ok"),
    ],
)
def test_a_header_that_opts_out_is_obeyed(host, fetch, header, expected):
    """What a host reserves in its headers is left to it, unless that is switched off."""
    url = f"{host.url}/header/?{header}"
    assert [reason(f) for f in fetch(url)] == [expected]
    assert [reason(f) for f in fetch(url, respect_opt_outs=False)] == ["ok"]


def test_several_headers_are_all_read():
    """X-Robots-Tag may come more than once; each header names its agents anew."""
    values = ["otherbot: noai", "nofollow"]
    assert list(robots_directives(values, "bot")) == ["nofollow"]


@pytest.mark.parametrize(
    ("robots", "expected"),
    [
        (reply(404), ["ok", "ok"]),
        (reply(403), ["ok", "ok"]),
        (reply(200, b"User-agent: *\nDisallow: /ok/"), ["robots_txt", "ok"]),
        (reply(200, b"User-agent: *\nDisallow: /\nAllow: /ok/"), ["ok", "robots_txt"]),
        (reply(200, b"User-agent: *\nDisallow: /*.jpg$"), ["robots_txt", "ok"]),
        (
            reply(200, b"User-agent: *\nAllow: /\n\nUser-agent: test-bot\nDisallow: /"),
            ["robots_txt"] * 2,
        ),
        (reply(200, b"User-agent: otherbot\nDisallow: /"), ["ok", "ok"]),
        (reply(200, b"\xff\xfe\x00 nonsense"), ["ok", "ok"]),
        (reply(200, b"\xef\xbb\xbfUser-agent: *\nDisallow: /ok/"), ["robots_txt", "ok"]),
        (reply(203, b"User-agent: *\nDisallow: /ok/"), ["robots_txt", "ok"]),
        (  # a word of the contact, which is no name of this crawler
            reply(200, b"User-agent: *\nDisallow: /\n\nUser-agent: example\nAllow: /"),
            ["robots_txt"] * 2,
        ),
        (reply(500), ["robots_unreachable"] * 2),
        (reply(429), ["robots_unreachable"] * 2),
        (reply(302, Location="/ok/robots"), ["ok", "ok"]),
        (reply(302, Location="/loop"), ["ok", "ok"]),
    ],
)
def test_robots_txt_is_obeyed(host, fetch, robots, expected):
    """robots.txt decides by RFC 9309: its longest match, 4xx allows, 5xx disallows."""
    host.robots = robots
    found = fetch(f"{host.url}/ok/a.jpg", f"{host.url}/size/64x64", respect_robots=True)
    assert [reason(f) for f in found] == expected


@pytest.mark.parametrize(
    "agent", ["test-bot", "test-bot/1.0", "Test-Bot (of ours)", " test-bot x/2"]
)
def test_a_crawler_answers_to_its_first_word(host, fetch, agent):
    """Whatever follows it in the user agent, wishes that name it are obeyed."""
    host.robots = reply(200, b"User-agent: test-bot\nDisallow: /ok/")
    urls = [f"{host.url}/ok/a.jpg", f"{host.url}/header/?X-Robots-Tag=test-bot:+noai"]
    found = fetch(*urls, respect_robots=True, user_agent=agent)
    assert [reason(f) for f in found] == ["robots_txt", "x_robots_tag"]


def test_robots_txt_is_asked_for_once(host, fetch):
    """A hundred URLs of a host cost one robots.txt; switched off, none."""
    urls = [f"{host.url}/ok/{number}" for number in range(100)]
    fetch(*urls, respect_robots=True)
    assert host.hits["/robots.txt"] == 1
    fetch(*urls)
    assert host.hits["/robots.txt"] == 1


def test_a_crawl_delay_is_kept(host, fetch):
    """Where robots.txt wants a pause between requests, there is one."""
    host.robots = reply(200, b"User-agent: *\nCrawl-delay: 0.5")
    start = time.monotonic()
    urls = [f"{host.url}/ok/{number}" for number in range(3)]
    found = fetch(*urls, respect_robots=True, limits={"connections_per_host": 1})
    assert [reason(f) for f in found] == ["ok"] * 3
    assert time.monotonic() - start >= 1


def test_an_opt_out_costs_no_body(host, fetch):
    """The body is not read once the headers have said no."""
    found = fetch(f"{host.url}/header/?X-Robots-Tag=noai")
    assert found[0].reply is None
    assert found[0].error.message == "127.0.0.1: X-Robots-Tag: noai"
