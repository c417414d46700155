"""Host names in their DNS form: `münchen.de` is `xn--mnchen-3ya.de`."""

import ipaddress
import re
from typing import Final

import idna

_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")


def ascii_host(name: str) -> str:
    """Return a host name in lower-case ASCII, or an IPv6 address in canonical form.

    Raises:
        ValueError: it is neither.
    """
    if ":" in name:
        return str(ipaddress.IPv6Address(name.partition("%")[0]))
    host = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    if not _NAME.fullmatch(host) or ".." in host:
        msg = f"{name!r} is no host name"
        raise ValueError(msg)
    return host.rstrip(".")
