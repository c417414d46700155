"""What a host sent: the head, whose bytes anybody may have written, and the body."""

from dataclasses import dataclass, field
from typing import Final

from image_toolkit.crawl.urls import Url, location_text

_BLANK: Final = b" \t\r\n"
_FIRST_FINAL: Final = 200  # 1xx are followed by the real head


@dataclass
class Reply:
    """What a host sent: a body that is whole, or only the head of one that was not wanted.

    `head` holds the values of the headers by lower-case name, in the order they came, as bytes:
    HTTP says of no header in which encoding it is. `opt_out` is how the host reserves what it sent,
    and None where it does not.
    """

    url: Url
    status: int = 0
    head: dict[str, list[bytes]] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    http_version: str = ""
    opt_out: str | None = None
    _last: list[bytes] = field(default_factory=list, repr=False)

    def values(self, name: str) -> list[str]:
        """Return the values of a header as text: UTF-8 where they are that, else Latin-1."""
        return [_text(value) for value in self.head.get(name, ())]

    def header(self, name: str) -> str | None:
        """Return the last value of a header, or None."""
        values = self.values(name)
        return values[-1] if values else None

    @property
    def location(self) -> str | None:
        """The last Location, each byte of it that is not ASCII percent-encoded, or None."""
        values = self.head.get("location")
        return location_text(values[-1]) if values else None

    def take_line(self, line: bytes) -> bool:
        """Take one line of the head, and return whether it was the last."""
        stripped = line.strip(_BLANK)
        if stripped.startswith(b"HTTP/") and b":" not in stripped.split(b" ", 1)[0]:
            self._begin(stripped)
        elif not stripped:
            return self.status >= _FIRST_FINAL
        elif line[:1] in (b" ", b"\t") and self._last:  # folded: more of the header before it
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
