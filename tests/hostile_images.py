"""Images made to harm whoever opens them, each from a few bytes of code.

`filler` is the number of bytes in a file's endless parts: 20 MB is what a downloader accepts.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from tests.made_images import png_chunk

CAP: Final = 8000
"""Side of the largest square that is decoded."""

_HEIC: Final = Path(__file__).parent / "image_toolkit/images/data/quarters.heic"


class Hostile(NamedTuple):
    """An image, and what is to become of it: a reject, or None for an image like others."""

    make: Callable[[int], bytes]
    reason: str | None


@cache
def saved(image_format: str, side: int = 64, mode: str = "RGB", **options: bool) -> bytes:
    """Return a grey image as the bytes of a file."""
    file = io.BytesIO()
    Image.new(mode, (side, side), 128 if mode == "L" else "gray").save(
        file, image_format, **options
    )
    return file.getvalue()


def jpeg_with(parts: bytes) -> bytes:
    """Return a JPEG with bytes after its start marker."""
    jpeg = saved("JPEG")
    return jpeg[:2] + parts + jpeg[2:]


def repeated(part: bytes, size: int) -> bytes:
    """Return so many bytes of a part."""
    return part * (size // len(part))


def scans(side: int, count: int) -> bytes:
    """Return a progressive JPEG that goes over its pixels again and again."""
    jpeg = saved("JPEG", side, "L", progressive=True)
    starts = [n for n in range(len(jpeg) - 1) if jpeg[n : n + 2] == b"\xff\xda"]
    again = jpeg[starts[1] : jpeg.index(b"\xff", starts[1] + 10)]
    return jpeg[: starts[1]] + again * count + jpeg[starts[1] :]


def between_scans(filler: int) -> bytes:
    """Return a progressive JPEG with empty comments behind its first scan."""
    jpeg = saved("JPEG", progressive=True)
    second = jpeg.index(b"\xff\xda", jpeg.index(b"\xff\xda") + 2)
    return jpeg[:second] + repeated(b"\xff\xfe\x00\x02", filler) + jpeg[second:]


def overlapping(size: int) -> bytes:
    """Return EXIF data of so many bytes, of which each entry claims nearly all."""
    entries = min(size // 24, 8_000)
    end = 14 + 12 * entries
    claimed = size - end
    entry = struct.pack("<HHII", 0x9286, 7, claimed, end)
    tags = (struct.pack("<H", n) + entry[2:] for n in range(entries))
    head = b"II*\x00" + struct.pack("<IH", 8, entries) + b"".join(tags) + bytes(4)
    return head + bytes(size - len(head))


def exif_segments(filler: int) -> bytes:
    """Return such EXIF data in segments, which a reader puts together."""
    exif = overlapping(filler)
    parts = [b"Exif\0\0" + exif[n : n + 65_000] for n in range(0, len(exif), 65_000)]
    return b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)


def hidden(filler: int) -> bytes:
    """Return tiny segments inside of segments that only some readers take for such."""
    content = repeated(b"\xff\xe5\x00\x02", 65_000)
    return repeated(b"\xff\xd8" + struct.pack(">H", len(content) + 2) + content, filler)


def png(before: bytes = b"", after: bytes = b"", side: int = 64, depth: int = 8) -> bytes:
    """Return a PNG of zeros in RGBA with further chunks before and after its pixels."""
    size = side * (1 + side * 4 * depth // 8)
    block = zlib.compressobj(9, wbits=-15)
    million = block.compress(bytes(1 << 20)) + block.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15)
    rest = last.compress(bytes(size % (1 << 20))) + last.flush()
    check = struct.pack(">I", size % 65_521 << 16 | 1)  # Adler-32 of so many zeros
    pixels = b"\x78\xda" + million * (size >> 20) + rest + check
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, 6, 0, 0, 0))
    chunks = [header, before, png_chunk(b"IDAT", pixels), after, png_chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_profiles(filler: int) -> bytes:
    """Return a PNG with colour profiles without end, each a megabyte packed to one kilobyte."""
    profile = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes((1 << 20) - 1), 9))
    return png(repeated(profile, filler))


def webp(side: int) -> bytes:
    """Return a WebP of a single colour in 34 bytes."""
    bits = (side - 1) | (side - 1) << 14
    codes = 0b0001 << 3 | 0b0001 << 7 | 0b0001 << 11 | 0b0001 << 15 | 0b0001 << 19
    content = b"\x2f" + struct.pack("<I", bits) + codes.to_bytes(8, "little")
    body = b"WEBP" + b"VP8L" + struct.pack("<I", len(content)) + content + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_with(chunks: bytes) -> bytes:
    """Return a WebP that says it has EXIF data, with further chunks."""
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x08" + bytes(3) + b"\x3f\0\0" * 2
    body = b"WEBP" + extended + webp(64)[12:] + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_exif(filler: int) -> bytes:
    """Return a WebP with EXIF data of entries that overlap."""
    return webp_with(b"EXIF" + struct.pack("<I", filler) + overlapping(filler))


def gif_with(parts: bytes) -> bytes:
    """Return a GIF with bytes between its palette and its picture."""
    gif = saved("GIF")
    start = 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 0x80 else 0)
    return gif[:start] + parts + gif[start:]


def boxes(file: bytes, filler: int) -> bytes:
    """Return an AVIF or HEIC file with empty boxes before its own."""
    first = int.from_bytes(file[:4])
    return file[:first] + repeated(struct.pack(">I", 8) + b"free", filler) + file[first:]


def tiff_chain(filler: int) -> bytes:
    """Return a TIFF of directories without end."""
    count = filler // 6
    directories = (struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(count))
    return b"II*\x00" + struct.pack("<I", 8) + b"".join(directories)


HOSTILE: Final[Mapping[str, Hostile]] = {
    "jpeg-scans": Hostile(lambda _: scans(2000, 3000), "too_complex"),
    "jpeg-few-scans-of-many-pixels": Hostile(lambda _: scans(CAP, 40), "too_complex"),
    "jpeg-fill-bytes": Hostile(lambda size: jpeg_with(b"\xff" * size), "too_complex"),
    "jpeg-junk": Hostile(lambda size: jpeg_with(bytes(size)), "too_complex"),
    "jpeg-endless-head": Hostile(lambda size: saved("JPEG")[:20] + bytes(size), "too_complex"),
    "jpeg-applications": Hostile(
        lambda size: jpeg_with(repeated(b"\xff\xe5\x00\x02", size)), "too_complex"
    ),
    "jpeg-comments": Hostile(
        lambda size: jpeg_with(repeated(b"\xff\xfe\x00\x02", size)), "too_complex"
    ),
    "jpeg-comments-between-scans": Hostile(between_scans, "too_complex"),
    "jpeg-hidden-segments": Hostile(lambda size: jpeg_with(hidden(size)), "too_complex"),
    "jpeg-exif": Hostile(lambda size: jpeg_with(exif_segments(size)), None),
    "png-chunks": Hostile(lambda size: png(repeated(png_chunk(b"abCd"), size)), "too_complex"),
    "png-late-chunks": Hostile(
        lambda size: png(after=repeated(png_chunk(b"tEXt", b"a\0"), size)), "too_complex"
    ),
    "png-exif": Hostile(lambda size: png(png_chunk(b"eXIf", overlapping(size))), None),
    "png-profiles": Hostile(png_profiles, "decoding_timeout"),
    "png-pixels": Hostile(lambda _: png(side=CAP, depth=16), None),
    "png-too-many-pixels": Hostile(lambda _: png(side=20_000), "too_many_pixels"),
    "webp-pixels": Hostile(lambda _: webp(CAP), None),
    "webp-too-many-pixels": Hostile(lambda _: webp(16_383), "too_many_pixels"),
    "webp-chunks": Hostile(
        lambda size: webp_with(repeated(b"abcd" + bytes(4), size)), "too_complex"
    ),
    "webp-exif": Hostile(webp_exif, None),
    "gif-blocks": Hostile(
        lambda size: gif_with(b"\x21\xfe" + repeated(b"\x01a", size) + b"\0"), "too_complex"
    ),
    "gif-extensions": Hostile(
        lambda size: gif_with(repeated(b"\x21\xfe\x00", size)), "too_complex"
    ),
    "avif-boxes": Hostile(lambda size: boxes(saved("AVIF"), size), "too_complex"),
    "heic-boxes": Hostile(lambda size: boxes(_HEIC.read_bytes(), size), "too_complex"),
    "tiff-chain": Hostile(tiff_chain, "not_an_image"),
}
"""By name."""
