"""A host's reply: the head, as untrusted bytes, and the body."""

from dataclasses import dataclass, field
from typing import Final

from image_toolkit.crawl.urls import Url, location_text

_BLANK: Final = b" \t\r\n"
_FIRST_FINAL: Final = 200  # 1xx responses are followed by the real head


@dataclass
class Reply:
    """A host's reply: with its whole body, or only the head if the body was not wanted.

    `head` maps lower-case header names to their values in order of arrival, as bytes: HTTP declares
    no encoding for headers. `opt_out` is the host's opt-out, or None.
    """

    url: Url
    status: int = 0
    head: dict[str, list[bytes]] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    http_version: str = ""
    opt_out: str | None = None
    _last: list[bytes] = field(default_factory=list, repr=False)

    def values(self, name: str) -> list[str]:
        """Return the values of a header as text: UTF-8 if valid, else Latin-1."""
        return [_text(value) for value in self.head.get(name, ())]

    def header(self, name: str) -> str | None:
        """Return the last value of a header, or None."""
        values = self.values(name)
        return values[-1] if values else None

    @property
    def location(self) -> str | None:
        """The last Location header, with non-ASCII bytes percent-encoded, or None."""
        values = self.head.get("location")
        return location_text(values[-1]) if values else None

    def take_line(self, line: bytes) -> bool:
        """Parse one line of the head, and return whether it was the last."""
        stripped = line.strip(_BLANK)
        if stripped.startswith(b"HTTP/") and b":" not in stripped.split(b" ", 1)[0]:
            self._begin(stripped)
        elif not stripped:
            return self.status >= _FIRST_FINAL
        elif line[:1] in (b" ", b"\t") and self._last:  # folded: continues the header above
            self._last[-1] += b" " + stripped
        else:
            name, _, value = stripped.partition(b":")
            self._last = self.head.setdefault(_text(name.strip(_BLANK)).lower(), [])
            self._last.append(value.strip(_BLANK))
        return False

    def _begin(self, status_line: bytes) -> None:
        version, _, rest = status_line.partition(b" ")
        self.http_version = version.removeprefix(b"HTTP/").decode("latin-1")
        self.status = int(rest[:3]) if rest[:3].isdigit() else 0
        self.head.clear()
        self._last = []


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
