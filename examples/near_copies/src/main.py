"""Find near-duplicates by perceptual hashes of the whole dataset."""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.executor import execute
from image_toolkit.copies.near_hashes import near_hashes
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.rendering import phash

logger = logging.getLogger(__name__)

_FILE: Final = "near_copies.csv"
_NAMED: Final = 20
_HASHED_SIDE: Final = 32


class NearCopies(WriteComponent):
    """Writes the pairs to a file, and the first of them to the log."""

    def __init__(self, *, most_bits: int = 6) -> None:
        self._most_bits = most_bits

    def setup(self, context: SetupContext) -> None:
        """Store where to write the file."""
        self._target = storage.join(context.output_directory, _FILE)

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Compare all images, skipping those that cannot be decoded."""
        names: list[str] = []
        hashes: list[int] = []
        for row in (row for batch in batches for row in batch.to_pylist()):
            try:
                pixels = decode_pixels(row["image"] or b"", target_side=_HASHED_SIDE)
            except NotAnImageError:
                continue
            names.append(row.get("file_name") or row["id"])
            hashes.append(int(phash(pixels), 16))
        pairs = [(names[one], names[first]) for one, first in _pairs(hashes, self._most_bits)]
        for pair in pairs[:_NAMED]:
            logger.warning("%s is near to %s", *pair)
        if len(pairs) > _NAMED:
            logger.warning("... and %d more: see %s", len(pairs) - _NAMED, self._target)
        text = io.StringIO(newline="")
        csv.writer(text).writerows([("image", "near_copy_of"), *pairs])
        storage.write_text(self._target, text.getvalue())
        return [self._target]


def _pairs(hashes: Sequence[int], most_bits: int) -> Iterator[tuple[int, int]]:
    """Yield the position of each hash that is close to earlier ones, with the first of these."""
    column = np.array(hashes, np.uint64)[:, None]
    likeness = near_hashes(column, np.ones(column.shape, np.bool_), most_bits)
    for place in np.flatnonzero(likeness.linked).tolist():
        first = int(likeness.like(place).min())
        if first < place:
            yield place, first


if __name__ == "__main__":
    execute(NearCopies)
