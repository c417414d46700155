"""Block lists: files of images that must never be returned."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fondant_spec.errors import InputDataError
from image_toolkit.host_names import ascii_host
from image_toolkit.retrieval.search.duplicates import known_host, url_key

_NO_SIGN_OF_A_NAME: Final = re.compile(r"[^\w.\u0080-\U0010ffff-]|\.\.|^\.")


@dataclass(frozen=True)
class BlockList:
    """Images that must never be returned: by URL, by host (with its sub-domains) or by index id.

    Hosts are in their DNS form, so that a name is blocked in every spelling.
    """

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    ids: frozenset[int] = frozenset()

    def blocks(self, url: str, index_id: int) -> bool:
        """Return whether a hit is on the list."""
        if index_id in self.ids or (self.urls and url_key(url) in self.urls):
            return True
        return bool(self.hosts) and any(name in self.hosts for name in _domains(url))


def read_block_list(path: Path) -> BlockList:
    """Read a block list: one URL, host or index id per line; `#` begins a comment.

    Raises:
        InputDataError: the file cannot be read, or a line is none of these.
    """
    urls, hosts, ids = set(), set(), set()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"block_list: cannot read {path} ({error})."
        raise InputDataError(msg) from error
    for number, line in enumerate(lines, start=1):
        entry = line.partition(" #")[0].strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            if "://" in entry:
                urls.add(_url(entry))
            elif entry.isdecimal():
                ids.add(int(entry))
            else:
                hosts.add(_host(entry))
        except ValueError as error:
            msg = f"{path}, line {number}: {entry!r} would block nothing: {error}."
            raise InputDataError(msg) from error
    return BlockList(frozenset(urls), frozenset(hosts), frozenset(ids))


def _url(entry: str) -> str:
    """Return the key of a URL; the host of a web URL must be valid."""
    parts = urlsplit(entry)
    _ = parts.port
    if parts.scheme.lower() in ("http", "https"):
        _name(parts.hostname or "")
    return url_key(entry)


def _host(entry: str) -> str:
    try:
        return _name(entry.removeprefix("*.").removeprefix("[").removesuffix("]"))
    except ValueError:
        msg = (
            "it is no URL (http://...), host or index id. Write a host as example.com, without a "
            "port, a path, quotes or commas, one a line"
        )
        raise ValueError(msg) from None


def _name(host: str) -> str:
    """Return a host in the form it has in hits: its DNS form, or unchanged for one like `☃.net`.

    Raises:
        ValueError: no hit can have it, for a port, a space, quotes or the like.
    """
    if host.isascii():
        return ascii_host(host)
    name = known_host(host.lower()).rstrip(".")
    plain = unicodedata.normalize("NFKC", name)
    if _NO_SIGN_OF_A_NAME.search(plain) or any(map(_is_between_names, plain)):
        msg = f"{host!r} is no host name"
        raise ValueError(msg)
    return name


def _is_between_names(sign: str) -> bool:
    """Return whether a character is a space, a quote, a comma or the like."""
    return sign not in "-._·" and unicodedata.category(sign)[0] in "PZ"


def _domains(url: str) -> Iterator[str]:
    """Yield the host of `url`, then its parent domains."""
    try:
        host = known_host(urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return
    while host:
        yield host
        host = host.partition(".")[2]
