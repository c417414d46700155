"""The key of an image in edits: the SHA-256 of its source file.

This is the field `sha256`, which `download_images` writes and which stays the same when images are
rendered again; if a dataset has none, it is the hash of the bytes in `image`.
"""

import hashlib
from collections.abc import Collection
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

SOURCE: Final = "sha256"
IMAGE: Final = "image"


def key_field(fields: Collection[str]) -> str | None:
    """Return the field that identifies images; None if a dataset has no images."""
    return next((name for name in (SOURCE, IMAGE) if name in fields), None)


def image_keys(column: pa.Array) -> pa.Array:
    """Return the keys of images, given their hashes or their bytes; null if there is none.

    The column is that of `key_field`.
    """
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        images = column.to_pylist()
        keys = [None if data is None else hashlib.sha256(data).hexdigest() for data in images]
        return pa.array(keys, pa.string())
    hashes = pc.utf8_lower(column.cast(pa.string()))
    return pc.if_else(pc.equal(hashes, ""), None, hashes)
