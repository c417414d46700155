"""Alt texts as found on the web: sometimes helpful, often noise, occasionally missing."""

import numpy as np

from demo.crops import Crop
from demo.photos import BY_SUBJECT

MISSING_SHARE = 0.1
TEMPLATES = (
    "{caption}",
    "{caption}",
    "{caption} - Stock Photo",
    "{Subject}",
    "{also}",
    "{also} {subject} wallpaper {width}x{height}",
    "{Subject} | {also} &amp; more",
    "IMG_{number}.JPG",
    "DSC0{number}",
    "Buy {subject} poster | FREE shipping over $25",
    "{also}: the 10 best {subject} pictures of {year}",
    "<b>{also}</b>",
    "📷 {caption} #{subject} #photooftheday",
    "image may contain: {subject}",
    "",
)


def alt_text(rng: np.random.Generator, crop: Crop) -> str | None:
    """Return an alt text for the crop, or None for an image without one."""
    if rng.random() < MISSING_SHARE:
        return None
    photo = BY_SUBJECT[crop.subject]
    number = int(rng.integers(1000, 9999))
    return str(rng.choice(TEMPLATES)).format(
        caption=crop.caption,
        subject=photo.subject,
        Subject=photo.subject.capitalize(),
        also=rng.choice(photo.also),
        number=number,
        year=2010 + number % 14,
        width=1920,
        height=1080,
    )
