"""Which network addresses may be connected to: public ones, however an address is written."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from image_toolkit.crawl.special_networks import GLOBAL_UNICAST, NEVER, PRIVATE, Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP: Final = 0x5EFE
_LOCAL_BIT: Final = 0x0200_0000  # of the interface identifier's upper half: 0000:5efe or 0200:5efe


@dataclass(frozen=True)
class AddressPolicy:
    """Allows public addresses, and the networks in `also`.

    An IPv6 address that wraps an IPv4 address (mapped, NAT64, 6to4) is checked as the latter; one
    that ends in an IPv4 address (ISATAP) is checked as both. Link-local, carrier-grade NAT and
    metadata addresses are refused even if `also` contains them.
    """

    also: tuple[Network, ...] = ()

    @classmethod
    def with_private_hosts(cls) -> "AddressPolicy":
        """Return the policy that also allows loopback and private networks."""
        return cls(PRIVATE)

    def allows(self, address: str) -> bool:
        """Return whether a numeric address may be connected to; False if it is not an address."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(self._allows_one(one) for one in _led_to(ip))

    def _allows_one(self, ip: Address) -> bool:
        if any(ip in network for network in NEVER):
            return False
        if any(ip in network for network in self.also):
            return True
        if ip in GLOBAL_UNICAST:
            return True
        return ip.version == 4 and not any(ip in network for network in PRIVATE)  # noqa: PLR2004


def _led_to(ip: Address) -> Iterator[Address]:
    """Yield the addresses that a packet to `ip` may reach."""
    if isinstance(ip, ipaddress.IPv4Address):
        yield ip
        return
    last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    wrapped = last if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
    yield wrapped or ip
    if (int(ip) >> 32 & 0xFFFFFFFF) & ~_LOCAL_BIT == _ISATAP:
        yield last
