"""An HTML page with images and captions; captions are escaped, and nothing in it runs."""

import io
from collections.abc import Iterable
from html import escape
from typing import Final, NamedTuple
from urllib.parse import quote

from PIL import Image

from image_toolkit.images.decoding import decode_pixels

_SIDE: Final = 256  # pixels, the longer side of an image
_QUALITY: Final = 80
_HEAD: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:;
  style-src 'unsafe-inline'">
<title>Captions</title>
<style>
body {font: 16px/1.4 system-ui, sans-serif; margin: 1rem; color: #1f2328; background: #fff}
main {display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr))}
figure {margin: 0; padding: .75rem; background: #f3f4f6; border-radius: .5rem}
img {display: block; width: 100%; height: 14rem; object-fit: contain}
figcaption {margin-top: .5rem; overflow-wrap: anywhere; white-space: pre-wrap}
a {font-size: .8rem; color: #0b57d0; overflow-wrap: anywhere}
</style>
"""


class Entry(NamedTuple):
    """An image on the page: its file, its text file, its caption, and the caption's author."""

    picture: str
    text: str
    caption: str
    corrected: bool


def page(entries: Iterable[Entry], how: str) -> str:
    """Return the page; `how` says how to correct captions."""
    figures = list(map(_figure, entries))
    head = f"{_HEAD}<h1>{len(figures):,} captions</h1>\n<p>{escape(how)}</p>\n<main>\n"
    return head + "".join(figures) + "</main>\n</html>\n"


def thumbnail(image: bytes) -> bytes:
    """Return a small JPEG of an image.

    Raises:
        NotAnImageError: it cannot be decoded.
    """
    picture = Image.fromarray(decode_pixels(image, target_side=_SIDE))
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _figure(entry: Entry) -> str:
    state = " · corrected" if entry.corrected else ""
    return (
        f'<figure><img src="{quote(entry.picture)}" alt="" loading="lazy">'
        f"<figcaption>{escape(entry.caption)}</figcaption>"
        f'<a href="{quote(entry.text)}">{escape(entry.text)}</a>{state}</figure>\n'
    )
