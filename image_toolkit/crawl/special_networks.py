"""The networks that are not public, as a table: the one in Python's `ipaddress` is older.

From IANA's registries "IPv4 Special-Purpose Address Space", "IPv6 Special-Purpose Address Space",
"IPv4 Multicast Address Space" and "Internet Protocol Version 6 Address Space", and from the clouds'
documentation of the addresses that serve credentials. As of 2026-11.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Final

Network = IPv4Network | IPv6Network

GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that IANA assigns; everything outside is not public."""

PRIVATE: Final[tuple[Network, ...]] = (
    IPv4Network("10.0.0.0/8"),  # RFC 1918
    IPv4Network("127.0.0.0/8"),  # loopback
    IPv4Network("172.16.0.0/12"),  # RFC 1918
    IPv4Network("192.168.0.0/16"),  # RFC 1918
    IPv6Network("::1/128"),  # loopback
    IPv6Network("fc00::/7"),  # unique local
)
"""This machine and its private networks: allowed on request."""

NEVER: Final[tuple[Network, ...]] = (
    IPv4Network("0.0.0.0/8"),  # "this network"
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT; Alibaba's metadata, 100.100.100.200
    IPv4Network("168.63.129.16/32"),  # Azure's wire server
    IPv4Network("169.254.0.0/16"),  # link-local; most clouds' metadata
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata, 192.0.0.192
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.31.196.0/24"),  # AS112
    IPv4Network("192.52.193.0/24"),  # AMT
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, deprecated
    IPv4Network("192.175.48.0/24"),  # AS112
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, and broadcast
    IPv6Network("::/128"),  # unspecified
    IPv6Network("64:ff9b:1::/48"),  # local-use NAT64
    IPv6Network("100::/64"),  # discard-only
    IPv6Network("100:0:0:1::/64"),  # dummy prefix
    IPv6Network("2001::/23"),  # protocol assignments; Teredo, ORCHID, benchmarks
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2620:4f:8000::/48"),  # AS112
    IPv6Network("3fff::/20"),  # documentation
    IPv6Network("5f00::/16"),  # segment routing
    IPv6Network("fd00:42::42/128"),  # Scaleway's metadata
    IPv6Network("fd00:a9fe:a9fe::/48"),  # Akamai's metadata
    IPv6Network("fd00:ec2::/32"),  # Amazon's metadata
    IPv6Network("fd20:ce::/32"),  # Google's metadata, fd20:ce::254
    IPv6Network("fe80::/10"),  # link-local
    IPv6Network("fec0::/10"),  # site-local, deprecated private range
    IPv6Network("ff00::/8"),  # multicast
)
"""Always refused."""
