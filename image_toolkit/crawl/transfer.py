"""One GET or HEAD: takes a checked URL and its checked addresses, returns a bounded reply."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import certifi
import pycurl

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.budget import ByteBudget
from image_toolkit.crawl.content_coding import coding_of
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.multi import Multi
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.urls import Url

CheckHead = Callable[[Reply], None]
"""Inspects a reply once its headers have arrived; raises `FetchError` to reject the body."""

_SocketAddress = tuple[int, int, int, tuple[str, *tuple[int, ...]]]

_ACCEPTED: Final = ["Accept: image/*,*/*;q=0.5", "Accept-Encoding: identity"]
_BUFFER: Final = 128 << 10
_DNS_SECONDS: Final = 60
_MOOT_BODY: Final = 64 << 10  # of an error page or redirect: read, to keep the connection alive
_E_HTTP2_STREAM: Final = 92
_FAILURES: Final[dict[int, tuple[str, bool]]] = {  # reason, and whether it may be temporary
    pycurl.E_COULDNT_CONNECT: ("connect_failed", True),
    pycurl.E_COULDNT_RESOLVE_HOST: ("dns_failure", False),
    pycurl.E_GOT_NOTHING: ("connection_reset", True),
    pycurl.E_HTTP2: ("http2_error", True),
    _E_HTTP2_STREAM: ("http2_error", True),
    pycurl.E_OPERATION_TIMEDOUT: ("timeout", True),
    pycurl.E_PARTIAL_FILE: ("incomplete_body", True),
    pycurl.E_PEER_FAILED_VERIFICATION: ("tls_error", False),
    pycurl.E_RECV_ERROR: ("connection_reset", True),
    pycurl.E_SEND_ERROR: ("connection_reset", True),
    pycurl.E_SSL_CONNECT_ERROR: ("tls_error", True),
    pycurl.E_FILESIZE_EXCEEDED: ("too_large", False),
}
_OF_THE_HOST: Final = frozenset(
    {"connect_failed", "connection_reset", "dns_failure", "http2_error", "timeout", "tls_error"}
)


@dataclass(frozen=True)
class Transport:
    """How requests are made: user agent, allowed addresses, limits."""

    user_agent: str
    policy: AddressPolicy
    limits: FetchLimits
    proxy: str = ""

    ca_file: str = ""
    """Certificates to trust; by default the file named by SSL_CERT_FILE, or Mozilla's."""

    async def get(
        self,
        multi: Multi,
        budget: ByteBudget,
        url: Url,
        addresses: list[str],
        check_head: CheckHead,
        *,
        head_only: bool = False,
    ) -> Reply:
        """Return the reply to a GET of `url`, sent to one of `addresses`; follow no redirect.

        With `head_only` it is a HEAD, and there is no body. The body is as it was sent: at most one
        content coding remains to be decoded. Its bytes are taken from the budget; the caller must
        give them back.

        Raises:
            FetchError: no reply, a body that is too large or cut short, or what `check_head`
                raised.
        """
        exchange = _Exchange(Reply(url), check_head, self, budget)
        handle = self._handle(url, addresses, exchange)
        handle.setopt(pycurl.NOBODY, head_only)
        try:
            await multi.perform(handle)
        except pycurl.error as error:
            failure = _explain(error, exchange)
            if exchange.body_matters:
                budget.give_back(len(exchange.reply.body))
                raise failure from None
        except asyncio.CancelledError:
            budget.give_back(len(exchange.reply.body))
            raise
        finally:
            handle.close()
        return exchange.reply

    def _handle(self, url: Url, addresses: list[str], exchange: "_Exchange") -> pycurl.Curl:
        limits = self.limits
        handle = pycurl.Curl()
        options: list[tuple[int, object]] = [
            (pycurl.URL, url.text),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, self.proxy),  # an empty one overrides the environment
            (pycurl.NOPROXY, ""),  # likewise: no request may bypass the proxy, unchecked
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.NOSIGNAL, 1),
            (pycurl.USERAGENT, self.user_agent),
            (pycurl.HTTPHEADER, _ACCEPTED),
            (pycurl.CAINFO, self.ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where()),
            (pycurl.CONNECTTIMEOUT_MS, int(limits.connect_timeout * 1000)),
            (pycurl.TIMEOUT_MS, int(limits.timeout * 1000)),
            (pycurl.LOW_SPEED_LIMIT, limits.min_bytes_per_second),
            (pycurl.LOW_SPEED_TIME, limits.slow_seconds),
            (pycurl.MAXFILESIZE, limits.max_bytes),
            (pycurl.BUFFERSIZE, _BUFFER),
            (pycurl.HEADERFUNCTION, exchange.take_header),
            (pycurl.WRITEFUNCTION, exchange.take_body),
        ]
        if not self.proxy:
            pinned = ",".join(f"[{a}]" if ":" in a else a for a in addresses)
            options += [
                (pycurl.RESOLVE, [f"+{url.host}:{url.port}:{pinned}"]),
                (pycurl.DNS_CACHE_TIMEOUT, _DNS_SECONDS),
                (pycurl.OPENSOCKETFUNCTION, exchange.open_socket),
            ]
        for option, value in options:
            handle.setopt(option, value)
        return handle


class _Exchange:
    """The callbacks of one transfer. What they refuse is kept in `refusal`, and ends it."""

    def __init__(
        self,
        reply: Reply,
        check_head: CheckHead,
        transport: Transport,
        budget: ByteBudget,
    ) -> None:
        self.reply = reply
        self.refusal: FetchError | None = None
        self._check_head = check_head
        self._policy = transport.policy
        self._body_bytes = transport.limits.max_bytes
        self._budget = budget
        self.body_matters = True

    def open_socket(self, _purpose: int, address: _SocketAddress) -> object:
        """Open the socket for a connection, unless its address is not allowed.

        This is the final check: however the URL, the resolver and libcurl interpreted the name,
        this is the address that the connection goes to.
        """
        family, kind, protocol, (host, *_rest) = address
        if not self._policy.allows(host):
            message = f"{self.reply.url.host} is {host}"
            self.refusal = FetchError(reason="private_address", message=message)
            return pycurl.SOCKET_BAD
        return socket.socket(family, kind, protocol)

    def take_header(self, line: bytes) -> int | None:
        """Take one line of the head; at its end, have it checked."""
        return self._end_head() if self.reply.take_line(line) else None

    def _end_head(self) -> int | None:
        self.body_matters = self.reply.status < 300  # noqa: PLR2004
        if not self.body_matters:
            self._body_bytes = _MOOT_BODY
        try:
            if self.body_matters:
                coding_of(self.reply)
            self._check_head(self.reply)
        except FetchError as error:
            self.refusal = error
            return -1
        return None

    def take_body(self, piece: bytes) -> int | None:
        """Take a piece of the body, unless the body is too large."""
        if len(self.reply.body) + len(piece) > self._body_bytes:
            self.refusal = FetchError(
                reason="too_large", message=f"body over {self._body_bytes} bytes"
            )
            return -1
        if not self._budget.take(len(piece)):
            message = f"{self.reply.url.host}: too many large bodies at once"
            self.refusal = FetchError(reason="no_memory", message=message, passing=True)
            return -1
        self.reply.body += piece
        return None


def _explain(error: pycurl.error, exchange: _Exchange) -> FetchError:
    if exchange.refusal is not None:
        return exchange.refusal
    number, message = int(error.args[0]), str(error.args[-1])
    reason, passing = _FAILURES.get(number, ("invalid_response", False))
    if "response headers" in message:  # too many of them
        reason, passing = "invalid_response", False
    elif reason == "timeout" and "too slow" in message:
        reason = "too_slow"
    elif reason == "timeout" and "onnect" in message:  # "Connection timed out", "Failed to connect"
        reason = "connect_timeout"
    return FetchError(
        reason=reason,
        message=f"{exchange.reply.url.host}: {message}",
        passing=passing,
        host_failed=reason in _OF_THE_HOST or reason == "connect_timeout",
    )
