"""Measures the cost of each measure of `score_images` besides decoding, and text detection.

    python benchmarks/scores.py [--images 200] [--json]

Photographs of scikit-image, cropped and scaled to 512 pixels, as JPEG; one thread, in CPU seconds,
since there may be other load. Half of the images for `text_area` get a watermark of random size,
position, opacity and colour.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "components" / "score_images" / "src")]

from pixel_measures import MEASURES, Picture  # noqa: E402
from text_area import TextArea  # noqa: E402

from image_toolkit.images.decoding import decode_pixels  # noqa: E402

SIDE = 512
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry")
HASHES = ("phash", "inner_phash", "mirrored_phash", "border", "sha256")
WORDS = ("SAMPLE", "stock photo", "PREVIEW", "photo agency", "DO NOT COPY", "example.org")
TEXTS = 60


def photos(count: int) -> list[Image.Image]:
    """Return so many crops of photographs."""
    draw = np.random.default_rng(0)
    whole = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in PHOTOS]
    made = []
    for number in range(count):
        image = whole[number % len(whole)]
        side = int(min(image.size) * draw.uniform(0.6, 1))
        left, top = (int(draw.integers(0, length - side + 1)) for length in image.size)
        made.append(image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))
    return made


def marked(image: Image.Image, number: int) -> Image.Image:
    """Return an image with a watermark."""
    draw = np.random.default_rng(number)
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(size=int(draw.integers(24, 64)))
    shade, opacity = int(draw.choice([0, 255])), int(draw.integers(128, 256))
    word = WORDS[number % len(WORDS)]
    place = (int(draw.integers(0, 150)), int(draw.integers(0, SIDE - 80)))
    ImageDraw.Draw(layer).text(place, word, fill=(shade, shade, shade, opacity), font=font)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def milliseconds(work: Callable[[Any], Any], items: list[Any]) -> float:
    """Return the CPU milliseconds per item; the best of three rounds."""
    rounds = []
    for _ in range(3):
        start = time.process_time()
        for item in items:
            work(item)
        rounds.append(time.process_time() - start)
    return 1000 * min(rounds) / len(items)


def main() -> None:
    """Measure, and print a table or one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    images = photos(options.images)
    files = [jpeg(image) for image in images]
    costs = {"decode": milliseconds(decode_pixels, files)}
    pixels = [decode_pixels(file) for file in files]
    # A new picture each time: what measures share is counted with each of them.
    for name, (measure, _) in MEASURES.items():
        costs[name] = milliseconds(lambda one, m=measure: m(Picture(b"", one)), pixels)

    def all_cheap(one: Any) -> None:
        picture = Picture(b"", one)
        for name, (measure, _) in MEASURES.items():
            if name not in HASHES:
                measure(picture)

    costs["all cheap ones"] = milliseconds(all_cheap, pixels)
    finder = TextArea()
    plain = [Picture(b"", decode_pixels(jpeg(one))) for one in images[:TEXTS]]
    texts = [
        Picture(b"", decode_pixels(jpeg(marked(one, n)))) for n, one in enumerate(images[:TEXTS])
    ]
    start = time.process_time()
    found = sum(finder.measure(one) > 0 for one in texts) / TEXTS
    alarms = sum(finder.measure(one) > 0 for one in plain) / TEXTS
    costs["text_area"] = 1000 * (time.process_time() - start) / (2 * TEXTS)
    for name, cost in costs.items():
        print(f"{name:16} {cost:8.2f} ms {1000 / cost:8,.0f} a second")
    print(f"of {TEXTS} watermarks {found:.0%} are found; {alarms:.0%} of plain images have text")
    if options.json:
        told = {f"{name.replace(' ', '_')}_ms": round(cost, 3) for name, cost in costs.items()}
        print(json.dumps(told | {"text_found": round(found, 3), "text_alarms": round(alarms, 3)}))


if __name__ == "__main__":
    main()
