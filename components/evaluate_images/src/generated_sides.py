"""The size of the generated images, known before any of them is read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gathered import BASE, TUNED

from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import read_batches
from image_toolkit.images.decoding import image_size
from image_toolkit.images.image_errors import NotAnImageError

LARGEST: Final = 512
"""The upper limit: no CLIP sees more, and few models generate less."""


def smallest_side(fields: Mapping[str, Field], manifests: Sequence[str]) -> int:
    """Return the smallest side of the generated images, at most 512."""
    datasets = [Manifest.read(location) for location in manifests]
    sides = [
        min(size) for field in (fields[BASE], fields[TUNED]) for size in _sizes(field, datasets)
    ]
    return min([LARGEST, *sides])


def _sizes(field: Field, datasets: Sequence[Manifest]) -> Iterator[tuple[int, int]]:
    """Yield the image sizes of a field, from the dataset that has it."""
    owner = next(
        one
        for one in datasets
        if any(own.location == field.location for own in one.fields.values())
    )
    for partition in owner.partitions:
        for batch in read_batches({"image": field}, owner.index_location, partition.name):
            for data in batch.column("image").drop_null().to_pylist():
                try:
                    yield image_size(data)
                except NotAnImageError:
                    continue
