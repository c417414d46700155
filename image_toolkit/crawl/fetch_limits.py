"""The bounds within which URLs are fetched."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes and counts. The defaults suit images on the open web."""

    connect_timeout: float = 5.0
    """For the look-up of the name, and again for the connection with its TLS handshake."""

    timeout: float = 20.0
    """For one attempt in all, from the look-up to the last byte."""

    slowest: int = 1000
    """Bytes a second; slower than that for `slow_seconds` ends the transfer."""

    slow_seconds: int = 5

    body_bytes: int = 20 << 20
    """Of a body, before and after its content encoding is undone."""

    redirects: int = 5

    connections: int = 128
    """At once, over all hosts."""

    waiting_bytes: int = 128 << 20
    """Under way, or fetched and not yet taken: above this no transfer is started."""

    host_connections: int = 4
    """At once, to one host."""

    host_interval: float = 0.1
    """Between the starts of two requests to one host."""

    host_failures: int = 10
    """In a row, after which a host is left alone for `host_rest`."""

    host_rest: float = 60.0

    retries: int = 2

    longest_wait: float = 60.0
    """The longest `Retry-After` that is waited for; the URL is given up on beyond that."""
