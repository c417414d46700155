"""The identity of a crawl's requests, where they may go, and which opt-outs it respects."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from image_toolkit.crawl.addresses import AddressPolicy


@dataclass(frozen=True)
class AccessPolicy:
    """What a crawl may request, and under which name.

    Args:
        user_agent: Begins with the product token, such as `name/1.0`, that robots.txt may name.
        contact: A web or mail address for the hosts' operators, part of the User-Agent header.
        respect_robots: Obey robots.txt.
        respect_opt_outs: Obey X-Robots-Tag and TDM reservations.
        allow_private_hosts: Connect to loopback and private addresses as well.
        allowed_ports: The ports that URLs may name; empty allows all.
        proxy: URL of a proxy, which then resolves host names, and must keep private hosts out.
    """

    user_agent: str = "fondant-image-bot/1.0"
    contact: str | None = None
    respect_robots: bool = True
    respect_opt_outs: bool = True
    allow_private_hosts: bool = False
    allowed_ports: Sequence[int] = (80, 443)
    proxy: str | None = field(default=None, repr=False)

    @property
    def full_user_agent(self) -> str:
        """The User-Agent header, with the contact if there is one."""
        return f"{self.user_agent} (+{self.contact})" if self.contact else self.user_agent

    @property
    def product_token(self) -> str:
        """The name of this crawler in robots.txt and X-Robots-Tag, in lower case."""
        return re.split(r"[/\s]", self.user_agent.strip(), maxsplit=1)[0].lower()

    @property
    def ports(self) -> frozenset[int] | None:
        """The ports that URLs may name; None for any."""
        return frozenset(self.allowed_ports) or None

    @property
    def addresses(self) -> AddressPolicy:
        """Which addresses may be connected to."""
        if self.allow_private_hosts:
            return AddressPolicy.with_private_hosts()
        return AddressPolicy()
