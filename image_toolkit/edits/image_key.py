"""What an edit calls an image by: the SHA-256 of the file that it came from.

That is the field `sha256`, which `download_images` writes and which stays the same when images are
rendered anew; where a dataset has none, the hash of the bytes in `image`.
"""

import hashlib
from collections.abc import Collection
from typing import Any, Final

import pyarrow as pa

SOURCE: Final = "sha256"
IMAGE: Final = "image"


def key_field(fields: Collection[str]) -> str | None:
    """Return the field that images are told by; None where a dataset has no images."""
    return next((name for name in (SOURCE, IMAGE) if name in fields), None)


def image_keys(column: pa.Array) -> list[str | None]:
    """Return the keys of images, given their hashes or their bytes; None for those that have none.

    The column is that of `key_field`.
    """
    return [_key(value) for value in column.to_pylist()]


def _key(value: Any) -> str | None:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return str(value).lower() if value else None
