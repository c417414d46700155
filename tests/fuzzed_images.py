"""Small images of every format, damaged at random, through the decoding that all components use.

    python -m tests.fuzzed_images --minutes 20

Prints how many were decoded and how many rejected, by reason, and the worst cost; stops at the
first with any other outcome, and writes it to a file.
"""

import argparse
import faulthandler
import io
import random
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, get_args

import numpy as np
from PIL import Image, ImageCms

from image_toolkit.images.decoding import image_header, pixels_of, trainers_load
from image_toolkit.images.image_errors import NotAnImageError, Reason

_HEIC: Final = Path(__file__).parent / "image_toolkit/images/data/quarters.heic"
_TELLING: Final = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0xD8, 0xD9, 0xDA, 0xC2, 0x2C, 0x21]
_MOST_PIXELS: Final = 4_000_000
_HANGS_S: Final = 120


@cache
def seeds() -> Mapping[str, bytes]:
    """Return a few valid images of each format, with and without metadata."""
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 4), np.uint8)
    colours = Image.fromarray(pixels).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = {"exif": exif, "icc_profile": profile}
    frames = {"save_all": True, "append_images": [colours.rotate(180)]}
    made = {
        "jpeg": (colours, "JPEG", told),
        "progressive": (colours, "JPEG", {"progressive": True}),
        "cmyk": (colours.convert("CMYK"), "JPEG", {}),
        "png": (Image.fromarray(pixels), "PNG", told),
        "palette": (colours.quantize(16), "PNG", {"transparency": 3}),
        "apng": (colours, "PNG", frames),
        "16-bit": (Image.fromarray(pixels[:, :, 0].astype(np.uint16) << 8), "PNG", {}),
        "webp": (colours, "WEBP", told),
        "lossless": (Image.fromarray(pixels), "WEBP", {"lossless": True}),
        "animated": (colours, "WEBP", frames),
        "gif": (colours, "GIF", frames),
        "avif": (colours, "AVIF", told),
    }
    return {"heic": _HEIC.read_bytes()} | {
        name: _saved(image, kind, **options) for name, (image, kind, options) in made.items()
    }


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return a file with some bytes changed, removed, repeated, or taken from another place."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 8, 32])):
        place = chance.randrange(len(made) or 1)
        size = chance.choice([1, 2, 4, 12, 64, 1000])
        match chance.randrange(6):
            case 0:
                made[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                made[place : place + 1] = bytes([chance.choice(_TELLING)])
            case 2:
                number = chance.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
                made[place : place + 4] = struct.pack(chance.choice("<>") + "I", number)
            case 3:
                del made[place : place + size]
            case 4:
                made[place:place] = made[place : place + size] * chance.choice([1, 2, 50])
            case _:
                other = chance.randrange(len(made) or 1)
                made[place : place + size] = made[other : other + size]
    return bytes(made)


def outcome(data: bytes) -> str:
    """Return the reason why a file is refused; empty for an image that all can be done with."""
    try:
        header = image_header(data, max_pixels=_MOST_PIXELS)
        pixels = pixels_of(header, data)
        small = pixels_of(header, data, target_side=8)
        trainers_load(header, data)
    except NotAnImageError as error:
        if error.reason not in get_args(Reason) or not error.message:
            raise
        return error.reason
    assert pixels.shape == (header.height, header.width, 3)
    assert pixels.dtype == small.dtype == np.uint8
    return ""


def main() -> None:
    """Damage images until time is up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    counts: Counter[str] = Counter()
    worst, end = 0.0, time.monotonic() + 60 * options.minutes
    names = sorted(seeds())
    while time.monotonic() < end:
        data = mutated(seeds()[chance.choice(names)], chance)
        faulthandler.dump_traceback_later(_HANGS_S, exit=True)
        start = time.monotonic()
        try:
            counts[outcome(data) or "image"] += 1
        except BaseException:
            Path("fuzzed-image").write_bytes(data)
            raise
        worst = max(worst, time.monotonic() - start)
    faulthandler.cancel_dump_traceback_later()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    sys.stdout.write(f"{counts.total()} images: {dict(counts)}; {worst:.1f} s, {peak} MB\n")


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


if __name__ == "__main__":
    main()
