"""The samples, and the grids of guidance and steps, as shown on the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from compared_sets import Compared
from gathered import BASE, ORIGINAL, TUNED, Gathered, name_of
from picture_spool import small_picture

from image_toolkit.evaluation.standard_look import standard_pixels
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.small_pictures import data_address

_SIDE = 512


@dataclass(frozen=True)
class Sample:
    """A prompt and the names of its three images."""

    row_id: str
    prompt: str | None
    original: str
    base: str
    tuned: str


@dataclass(frozen=True)
class Grid:
    """The tuned model's images of one prompt: a row for each number of steps.

    `columns` are the guidance scales. Images are `data:` URLs, or None.
    """

    row_id: str
    prompt: str | None
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str | None]]]


def samples_of(gathered: Gathered, compared: Compared, most: int) -> list[Sample]:
    """Return the samples to show, evenly spaced over all, in id order."""
    count = len(compared.base)
    places = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    ids = [compared.base.ids[place] for place in places]
    return [
        Sample(
            row_id,
            gathered.rows[row_id].caption,
            *(name_of(source, row_id) for source in (ORIGINAL, BASE, TUNED)),
        )
        for row_id in ids
    ]


def grids_of(
    gathered: Gathered, files: Mapping[str, Sequence[bytes | None]], made_by: Mapping[str, Any]
) -> list[Grid]:
    """Return the grids; `made_by` is the field's metadata with scales and steps."""
    scales, steps = (made_by.get(name) for name in ("guidance_scale", "num_inference_steps"))
    known = isinstance(scales, list) and isinstance(steps, list)
    made = []
    for row_id, images in sorted(files.items()):
        addresses = list(map(_address, images))
        columns = [f"guidance {scale}" for scale in scales or ()] if known else []
        lines = [f"{count} steps" for count in steps or ()] if known else []
        if len(columns) * len(lines) != len(images):
            columns, lines = [str(number + 1) for number in range(len(images))], ["images"]
        width = len(columns)
        rows = [
            (line, addresses[number * width : (number + 1) * width])
            for number, line in enumerate(lines)
        ]
        row = gathered.rows.get(row_id)
        made.append(Grid(row_id, row.caption if row else None, columns, rows))
    return made


def _address(data: bytes | None) -> str | None:
    try:
        return data_address(small_picture(standard_pixels(data or b"", _SIDE)))
    except NotAnImageError:
        return None
