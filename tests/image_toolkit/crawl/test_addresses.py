import pytest

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.urls import join, parse_url

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::5db8:d822", "::ffff:1.1.1.1"]
PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd12::1"]
NEVER = [
    "0.0.0.0",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "224.0.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:a9fe:a9fe::1",
    "2001:db8::1",
    "2001:0:4136:e378::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00:ec2::254",
    "ff02::1",
    "not an address",
    "",
]


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
