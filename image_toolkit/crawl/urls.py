"""Parsing untrusted URLs.

The requested URL is rebuilt from the checked parts, so that the HTTP library cannot interpret it
differently from the checks.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.host_names import ascii_host

LONGEST: Final = 8000
"""Characters: about what servers accept in a request line."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_TRICKS: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_AUTHORITY: Final = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")
_ASCII: Final = "".join(map(chr, range(128)))
_SAFE_IN_PATH: Final = "/%:@!$&'()*+,;=~-._[]"


@dataclass(frozen=True)
class Url:
    """A checked URL: `text` is pure ASCII, without credentials or fragment."""

    scheme: str
    host: str
    port: int
    text: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: the scope of a robots.txt and of the per-host limits."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(text: str | None, ports: Container[int] | None = None) -> Url:
    """Return the checked form of a URL. `ports` are the allowed ones; None allows any.

    Raises:
        FetchError: `empty_url`, `url_too_long`, `invalid_url`, `scheme_not_allowed`,
            `credentials_in_url` or `port_not_allowed`.
    """
    text = (text or "").strip()
    if not text:
        raise FetchError(reason="empty_url")
    if len(text) > LONGEST:
        raise FetchError(reason="url_too_long", message=f"{len(text)} characters, over {LONGEST}")
    parts, port = _split(text)
    if parts.scheme not in DEFAULT_PORTS:
        message = f"{parts.scheme or 'no scheme'}: only http and https are fetched"
        raise FetchError(reason="scheme_not_allowed", message=message)
    if "@" in parts.netloc:
        raise FetchError(reason="credentials_in_url", message=f"for {parts.hostname}")
    host = _host(parts.hostname or "")
    port = port or DEFAULT_PORTS[parts.scheme]
    if ports is not None and port not in ports:
        message = f"{host}:{port}: not one of allowed_ports; add it there, or leave that empty"
        raise FetchError(reason="port_not_allowed", message=message)
    path = quote(parts.path or "/", safe=_SAFE_IN_PATH)
    query = "?" + quote(parts.query, safe=_SAFE_IN_PATH + "?") if parts.query else ""
    netloc = f"[{host}]" if ":" in host else host
    if port != DEFAULT_PORTS[parts.scheme]:
        netloc = f"{netloc}:{port}"
    return Url(parts.scheme, host, port, f"{parts.scheme}://{netloc}{path}{query}")


def location_text(location: bytes) -> str:
    """Return a Location header as the URL that it means, whatever its encoding.

    After the host name, non-ASCII bytes are percent-encoded one by one, so that the next request
    sends the same bytes.
    """
    location = location.strip(b" \t\r\n")
    named = _AUTHORITY.match(location)
    end = named.end() if named else 0
    return location[:end].decode(errors="replace") + quote(location[end:], safe=_ASCII)


def join(base: Url, location: str, ports: Container[int] | None = None) -> Url:
    """Return the target of a redirect from `base`, checked like any other URL.

    Raises:
        FetchError: as `parse_url`.
    """
    _refuse_tricks(location)
    try:
        joined = urljoin(base.text, location.strip())
    except ValueError:
        raise FetchError(reason="invalid_url", message=f"redirect from {base.host}") from None
    return parse_url(joined, ports)


def _split(text: str) -> tuple[SplitResult, int | None]:
    _refuse_tricks(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise FetchError(reason="invalid_url", message=str(error)) from None
    return parts, port


def _refuse_tricks(text: str) -> None:
    """Refuse what URL parsers disagree on; spaces are common, and harmless once quoted."""
    if _TRICKS.search(text):
        raise FetchError(reason="invalid_url", message="control character or backslash")


def _host(name: str) -> str:
    """Return a host name in ASCII, or a literal address in its canonical form."""
    try:
        return ascii_host(name)
    except ValueError as error:
        raise FetchError(reason="invalid_url", message=f"host {name!r}: {error}") from None
