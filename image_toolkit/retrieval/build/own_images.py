"""Sample images of an index: from this machine, or from their URLs."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.fetcher import Fetched, Fetcher

_LIMITS: Final = FetchLimits(timeout=10, retries=0)


def own_images(
    rows: Sequence[Mapping[str, Any]], url: str | None, access: AccessPolicy
) -> dict[int, bytes]:
    """Return the encoded images that are still available for rows of metadata, by row position.

    An index built from a folder has `image_path`; otherwise `url` is the column with their
    addresses, which are fetched as `access` permits.
    """
    found: dict[int, bytes] = {}
    remote: dict[int, str] = {}
    for place, row in enumerate(rows):
        address = str(row.get(url) or "") if url else ""
        if (file := _file_of(row, address)) is not None:
            found[place] = file.read_bytes()
        elif address.startswith(("http://", "https://")):
            remote[place] = address
    return found | _fetched(remote, access)


def _file_of(row: Mapping[str, Any], address: str) -> Path | None:
    named = [str(row["image_path"])] if row.get("image_path") else []
    if address.startswith("file:"):
        named.append(unquote(urlsplit(address).path))
    with suppress(OSError, ValueError):
        return next((path for name in named if (path := Path(name)).is_file()), None)
    return None


def _fetched(addresses: Mapping[int, str], access: AccessPolicy) -> dict[int, bytes]:
    done: SimpleQueue[tuple[int, Fetched]] = SimpleQueue()
    found: dict[int, bytes] = {}
    fetcher = Fetcher(_LIMITS, access)
    fetcher.start()
    try:
        for place, address in addresses.items():
            fetcher.submit(address, partial(_put, done, place))
        for _ in addresses:
            place, fetched = done.get()
            if fetched.reply is not None:
                found[place] = bytes(fetched.reply.body)
                fetcher.release(len(fetched.reply.body))
    finally:
        fetcher.close()
    return found


def _put(done: "SimpleQueue[tuple[int, Fetched]]", place: int, fetched: Fetched) -> None:
    done.put((place, fetched))
