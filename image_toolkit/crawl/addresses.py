"""Which network addresses may be connected to: public ones, and no other way to write the rest."""

import ipaddress
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER: Final[tuple[Network, ...]] = (
    ipaddress.IPv4Network("169.254.0.0/16"),  # link-local: clouds serve credentials here
    ipaddress.IPv4Network("100.64.0.0/10"),  # carrier-grade NAT, and one cloud's metadata
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments, and one cloud's metadata
    ipaddress.IPv6Network("fe80::/10"),  # link-local
    ipaddress.IPv6Network("fec0::/10"),  # site-local, the elder private range
    ipaddress.IPv6Network("fd00:ec2::/32"),  # metadata in a private range
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 of one's own network
)
_PRIVATE: Final[tuple[Network, ...]] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv4Network("10.0.0.0/8"),
    ipaddress.IPv4Network("172.16.0.0/12"),
    ipaddress.IPv4Network("192.168.0.0/16"),
    ipaddress.IPv6Network("::1/128"),
    ipaddress.IPv6Network("fc00::/7"),
)


@dataclass(frozen=True)
class AddressPolicy:
    """Allows public addresses, and the networks in `also`.

    An IPv6 address that wraps an IPv4 address (mapped, NAT64, 6to4) counts as the latter.
    Link-local, carrier-grade NAT and metadata addresses are refused whatever `also` says.
    """

    also: tuple[Network, ...] = ()

    @classmethod
    def with_private_hosts(cls) -> "AddressPolicy":
        """Return the policy that allows loopback and private networks as well."""
        return cls(_PRIVATE)

    def allows(self, address: str) -> bool:
        """Return whether a numeric address may be connected to; what is no address may not."""
        try:
            ip = _unwrap(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        if any(ip in network for network in _NEVER):
            return False
        if any(ip in network for network in self.also):
            return True
        return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _unwrap(ip: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, or the address itself."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
