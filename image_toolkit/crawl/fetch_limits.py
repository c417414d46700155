"""Limits of time, size and load for fetching URLs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FetchLimits:
    """Seconds, bytes and counts. The defaults suit images on the open web."""

    timeout: float = 20.0
    """The time limit of one attempt, from the look-up of the name to the last byte."""

    connect_timeout: float = 5.0
    """For the DNS lookup, and again for the connection with its TLS handshake."""

    min_bytes_per_second: int = 1000
    """A transfer slower than this for `slow_seconds` is aborted; 0 allows any rate."""

    slow_seconds: int = 5

    max_bytes: int = 20 << 20
    """Of a body, before and after decoding its content coding."""

    redirects: int = 5

    n_connections: int = 128
    """Simultaneous connections, over all hosts."""

    waiting_bytes: int = 128 << 20
    """Bytes under way, or fetched and not yet taken, above which no transfer is started."""

    connections_per_host: int = 4
    """Simultaneous connections to one host."""

    requests_per_second_per_host: float = 10.0
    """Started requests; 0 for no limit."""

    failures_per_host: int = 10
    """Consecutive failures after which a host is left alone for `host_rest`."""

    host_rest: float = 60.0

    retries: int = 2

    longest_wait: float = 60.0
    """The longest `Retry-After` to wait for; a URL that asks for more is given up."""

    @property
    def host_interval(self) -> float:
        """Seconds between the starts of two requests to a host."""
        rate = self.requests_per_second_per_host
        return 1 / rate if rate else 0.0
