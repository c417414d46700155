"""Rows for which everything in a report is known."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image


def picture(number: int, side: int = 64) -> bytes:
    """Return a JPEG with a look of its own."""
    small = np.random.default_rng(number).integers(0, 255, (6, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((side, side)).save(file, "JPEG", quality=90)
    return file.getvalue()


def known_rows() -> pa.Table:
    """Return twelve rows."""
    captions = ["A cat, sitting", "a cat sitting!", "a dog " * 40, "à cat: sitting", None, " "]
    return pa.table(
        {
            "image": [picture(number) for number in range(12)],
            "image_width": pa.array([512] * 6 + [1024] * 5 + [None], pa.int32()),
            "image_height": pa.array([512] * 6 + [400] * 4 + [2000] + [None], pa.int32()),
            "caption": captions + [f"a photo of number {n}" for n in range(6)],
            "score": pa.array([n / 10 for n in range(11)] + [float("nan")], pa.float32()),
            "status": pa.array([200] * 12, pa.int32()),
            "index_id": pa.array(range(12), pa.int64()),
            "tags": [["cat", "red"]] * 4 + [[]] * 4 + [None] * 4,
            "license": ["CC BY 2.0", "cc-by-2.0", "MIT", None] * 3,
            "final_url": [f"https://{'ab'[n > 8]}.example/{n}.jpg" for n in range(12)],
        }
    )
