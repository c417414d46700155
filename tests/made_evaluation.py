"""Rows of originals and of images from two models, for which crops of photographs stand in.

The base model knows all subjects but one, and is blurry; a tuned model that has learned knows that
one, too.
"""

import io
from functools import cache
from zlib import crc32

import numpy as np
import pyarrow as pa
from PIL import Image, ImageFilter

from demo import crops
from demo.photos import SUBJECTS

KNOWN = tuple(SUBJECTS[:4])
NEW = SUBJECTS[7]
LABELS = [*KNOWN, NEW]
SIDE = 64
"""Pixels of a generated image."""

SCHEMA = pa.schema(
    [
        ("image", pa.binary()),
        ("caption", pa.string()),
        ("class", pa.string()),
        ("split", pa.string()),
        ("base_image", pa.binary()),
        ("tuned_image", pa.binary()),
    ]
)


@cache
def crop(subject: str, number: int) -> Image.Image:
    """Return a crop of a subject, another one for each number."""
    rng = np.random.default_rng((crc32(subject.encode()), number))
    return crops.render(crops.draw(rng, subject, "collection", "plain"), 96, rng)


def encoded(image: Image.Image, kind: str) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def drawn(subject: str, number: int, blur: float) -> bytes:
    """Return what a model made of a prompt."""
    small = crop(subject, number).resize((SIDE, SIDE))
    return encoded(small.filter(ImageFilter.GaussianBlur(blur)), "PNG")


def evaluated_rows(train: int = 40, held_out: int = 40, *, learned: bool = True) -> pa.Table:
    """Return training rows, and held-out ones with an image of the base and of the tuned model."""
    rows = []
    for number in range(train + held_out):
        subject = LABELS[number % len(LABELS)]
        other = KNOWN[number // len(LABELS) % len(KNOWN)] if subject == NEW else subject
        known = number >= train
        made = subject if learned else other
        rows.append(
            {
                "image": encoded(crop(subject, number), "JPEG"),
                "caption": f"a photo of {subject}",
                "class": subject,
                "split": "validation" if known else "train",
                "base_image": drawn(other, 1000 + number, 1.5) if known else None,
                "tuned_image": drawn(made, 2000 + number, 0.3 if learned else 1.5)
                if known
                else None,
            }
        )
    return pa.Table.from_pylist(rows, SCHEMA)
