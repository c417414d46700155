"""Host names under which a server on this machine may be addressed."""

import ipaddress
import re


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def name_of(host: str) -> str:
    """Return the name or address in a Host header, without port and IPv6 brackets."""
    name = re.sub(r":\d*$", "", host)
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name
