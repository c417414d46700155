"""Sample rows from all over a dataset, with their images, for display."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import read_batches, read_ids

MOST_IMAGE_BYTES: Final = 1 << 20
"""The largest image to show, in bytes; larger ones make the page too heavy for browsers."""

_LONGEST: Final = 300
_CAPTIONS: Final = ("caption", "text", "prompt", "alt_text")
"""Fields that describe the image, best first."""

_SHOWN: Final = (
    pa.types.is_binary,
    pa.types.is_boolean,
    pa.types.is_floating,
    pa.types.is_integer,
    pa.types.is_string,
)
_SIGNATURES: Final[Mapping[bytes, str]] = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n": "image/png",
    b"GIF8": "image/gif",
}
_RIFF: Final = b"RIFF"


@dataclass(frozen=True)
class Sample:
    """A row: its id, its image with MIME type if it has one, and its other values."""

    row_id: str
    image: bytes | None
    mime_type: str
    values: Mapping[str, str]

    @property
    def caption(self) -> str:
        """The caption of the row; empty if it has none."""
        return next((self.values[name] for name in _CAPTIONS if self.values.get(name)), "")


def read_samples(manifest: Manifest, count: int) -> list[Sample]:
    """Return up to `count` rows, from partitions all over the dataset, in its order.

    Raises:
        InvalidDatasetError: a file is missing or broken.
    """
    filled = [one for one in manifest.partitions if one.rows]
    chosen = _spread(filled, count)
    samples: list[Sample] = []
    for number, partition in enumerate(chosen):
        share = (count - len(samples)) // (len(chosen) - number)
        samples += _of_partition(manifest, partition.name, share)
    return samples


def mime_type(content: bytes) -> str:
    """Return the MIME type of an image from its first bytes; empty if browsers cannot show it."""
    if content.startswith(_RIFF) and content[8:12] == b"WEBP":
        return "image/webp"
    kinds = (kind for start, kind in _SIGNATURES.items() if content.startswith(start))
    return next(kinds, "")


def _of_partition(manifest: Manifest, name: str, count: int) -> Iterator[Sample]:
    ids = read_ids(manifest.index_location, name)
    wanted = pa.array(_spread(ids.to_pylist(), count), pa.string())
    fields = {n: f for n, f in manifest.fields.items() if _can_be_shown(f)}
    for batch in read_batches(fields, manifest.index_location, name, only=wanted):
        yield from map(_sample, batch.to_pylist())


def _sample(row: dict[str, Any]) -> Sample:
    image, kind = None, ""
    for value in row.values():
        if isinstance(value, bytes) and len(value) <= MOST_IMAGE_BYTES and mime_type(value):
            image, kind = value, mime_type(value)
            break
    values = {
        name: _short(value)
        for name, value in row.items()
        if name != "id" and value is not None and not isinstance(value, bytes)
    }
    return Sample(row["id"], image, kind, values)


def _can_be_shown(field: Field) -> bool:
    return any(is_of(field.type) for is_of in _SHOWN)


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _spread(items: list[Any], count: int) -> list[Any]:
    """Return `count` of some items, evenly spaced."""
    if len(items) <= count:
        return items
    return [items[number * len(items) // count] for number in range(count)]
