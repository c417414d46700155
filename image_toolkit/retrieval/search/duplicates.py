"""Which hits show the same image, by their vectors and by their URLs."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from image_toolkit.host_names import ascii_host
from image_toolkit.retrieval.search.hits import BoolArray, FloatArray
from image_toolkit.unit_vectors import unit_vectors

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PLAIN: Final = re.compile(r"https?://[a-z0-9.-]*[a-z0-9]/[^\s#]*")
"""Most URLs: already in canonical form, and quick to recognise by the hundred thousand."""


def near_duplicates(vectors: FloatArray, threshold: float) -> BoolArray:
    """Return which of `vectors`, shape (n, dimension), repeat an earlier one.

    The rule is clip-retrieval's, so that local indexes and its service agree: vectors whose cosine
    exceeds `threshold` are linked, and only the first of each connected component is kept.
    """
    unit = unit_vectors(vectors)
    linked = unit @ unit.T > threshold
    np.fill_diagonal(linked, val=True)
    count = len(vectors)
    first = np.arange(count)
    while True:
        smallest = np.where(linked, first, count).min(axis=1, initial=count)
        if np.array_equal(smallest, first):
            repeats: BoolArray = first != np.arange(count)
            return repeats
        first = smallest


def url_key(url: str) -> str:
    """Return `url` in a canonical form, in which equal addresses are equal strings.

    Scheme and host are lower-cased, the host in its DNS form; the default port and the fragment are
    dropped. Path and query are kept, since servers may distinguish case in them.
    """
    if _PLAIN.fullmatch(url):
        return url
    try:
        parts = urlsplit(url.strip())
        host, port = known_host(parts.hostname or ""), parts.port
    except ValueError:
        return url
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))


def known_host(name: str) -> str:
    """Return a host in its DNS form; anything that is not a host name is returned unchanged."""
    try:
        return ascii_host(name)
    except ValueError:  # nobody will be asked for it, but the URL is as good a key as any
        return name
