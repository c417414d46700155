"""Under which names a server on this machine is known."""

import ipaddress
import re


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def name_of(host: str) -> str:
    """Return the name or address in a Host header, without its port and the brackets of IPv6."""
    name = re.sub(r":\d*$", "", host)
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name
