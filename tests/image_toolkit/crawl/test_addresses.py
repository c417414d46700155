import ipaddress

import pytest

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.special_networks import NEVER as NEVER_NETWORKS
from image_toolkit.crawl.special_networks import PRIVATE as PRIVATE_NETWORKS
from image_toolkit.crawl.urls import join, parse_url

NETWORKS = [*NEVER_NETWORKS, *PRIVATE_NETWORKS]
PUBLIC = [
    "93.184.216.34",
    "1.1.1.1",
    "168.63.129.15",
    "168.63.129.17",
    "192.88.98.255",
    "2606:4700::1111",
    "2001:200::1",
    "2a00:1450:4001:80b::200e",
    "64:ff9b::5db8:d822",
    "::ffff:1.1.1.1",
    "2606:4700::5efe:0101:0101",
    "3ffe::1",
]
PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd12::1"]
REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "224.0.1.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
"""IPv4 addresses that are refused, in every form that IPv6 has for them."""

NEVER = [
    "::",
    "::7f00:1",
    "64:ff9b:1::7f00:1",
    "64:ff9b:2::1",
    "100::1",
    "100:0:0:1::1",
    "1000::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "not an address",
    "127.1",
    "0x7f000001",
    "",
]
FORMS = {
    "plain": "{0}",
    "mapped": "::ffff:{0}",
    "compatible": "::{0}",
    "translated": "::ffff:0:{0}",
    "NAT64": "64:ff9b::{0}",
    "6to4": "2002:{1}::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:{2}",
    "ISATAP": "2606:4700::5efe:{0}",
    "ISATAP, global": "2606:4700::200:5efe:{0}",
    "ISATAP in 6to4": "2002:0101:0101::5efe:{0}",
    "mapped, in digits": "::ffff:{1}",
}
"""How IPv6 writes an IPv4 address: as it is, as two words, as two words with each bit turned."""


def in_form(form, address):
    """Return an IPv4 address in one of the forms of IPv6."""
    number = int(ipaddress.IPv4Address(address))
    turned = number ^ 0xFFFFFFFF
    words = [f"{value >> 16:x}:{value & 0xFFFF:x}" for value in (number, turned)]
    return FORMS[form].format(address, *words)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("address", [*REFUSED, *[a for a in PRIVATE if ":" not in a]])
def test_an_address_that_is_not_public_is_refused_in_every_form(address, form):
    """No form of IPv6 leads to an IPv4 address that may not be reached."""
    assert not AddressPolicy().allows(in_form(form, address))
    if address in REFUSED:
        assert not AddressPolicy.with_private_hosts().allows(in_form(form, address))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_no_address_of_a_special_network_is_allowed(network):
    """The first and the last address of each network in the table are refused."""
    assert not AddressPolicy().allows(str(network[0]))
    assert not AddressPolicy().allows(str(network[-1]))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address):
    """A public address is allowed, wrapped in IPv6 or not."""
    assert AddressPolicy().allows(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_allowed_when_asked_for(address):
    """Loopback and private networks are refused, unless private hosts are allowed."""
    assert not AddressPolicy().allows(address)
    assert AddressPolicy.with_private_hosts().allows(address)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_allowed(address):
    """Metadata, link-local, shared, multicast and reserved addresses are refused in any case."""
    assert not AddressPolicy().allows(address)
    assert not AddressPolicy.with_private_hosts().allows(address)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"])
def test_a_wrapped_private_address_is_private(address):
    """IPv6 forms of a loopback address are loopback."""
    assert not AddressPolicy().allows(address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://Example.ORG", "http://example.org/"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("http://example.org:8080/a", "http://example.org:8080/a"),
        ("  http://example.org/a b.jpg ", "http://example.org/a%20b.jpg"),
        ("http://example.org/a%20b?x[]=1&y=é", "http://example.org/a%20b?x[]=1&y=%C3%A9"),
        ("http://example.org/ü.jpg#top", "http://example.org/%C3%BC.jpg"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://my_bucket.example.org/", "http://my_bucket.example.org/"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://[2606:4700:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://example.org/a//b/../c", "http://example.org/a//b/../c"),
    ],
)
def test_a_url_is_put_together_anew(text, expected):
    """What is requested is ASCII, lower-case in its host, and free of what a server never sees."""
    assert parse_url(text).text == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b.jpg", "http://example.org/b.jpg"),
        ("b.jpg", "http://example.org/a/b.jpg"),
        ("//other.org/b", "http://other.org/b"),
        ("https://other.org/b", "https://other.org/b"),
        ("?q", "http://example.org/a/i?q"),
    ],
)
def test_a_redirect_is_joined_to_its_base(location, expected):
    """A redirect may be relative in any way."""
    assert join(parse_url("http://example.org/a/i"), location).text == expected


@pytest.mark.parametrize("location", ["http://[", "javascript:alert(1)", "http://a@b/", "\x00"])
def test_a_redirect_is_checked_like_any_url(location):
    """A redirect to nowhere good is refused."""
    with pytest.raises(FetchError):
        join(parse_url("http://example.org/"), location)
