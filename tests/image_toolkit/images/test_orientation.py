"""Every way in which a file specifies its orientation, against the libraries that trainers use."""

import io
import zlib

import datasets
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from image_toolkit.images.decoding import decode_pixels, image_size
from tests.made_images import png_chunk

SIZE = (64, 48)
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    'tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)


def picture():
    """Return an image of four colours, so that it is another one however it is turned."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:] = (220, 30, 30), (30, 220, 30)
    pixels[24:, :32], pixels[24:, 32:] = (30, 30, 220), (220, 220, 30)
    return Image.fromarray(pixels)


def saved(kind, **options):
    """Return the picture as a file."""
    file = io.BytesIO()
    picture().save(file, kind, **options)
    return file.getvalue()


def exif(turned):
    """Return EXIF data with an orientation."""
    data = Image.Exif()
    data[0x0112] = turned
    return data


def png_with(turned, kind, *, late):
    """Return a PNG with a chunk that tells the orientation, before or after its pixels."""
    told = {
        b"eXIf": exif(turned).tobytes().removeprefix(b"Exif\x00\x00"),
        b"iTXt": b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP.format(turned).encode(),
        b"tEXt": b"Raw profile type exif\x00\nexif\n 26\n" + exif(turned).tobytes().hex().encode(),
    }
    told[b"zTXt"] = b"Raw profile type exif\x00\x00" + zlib.compress(told[b"tEXt"][22:])
    data = saved("PNG")
    place = data.index(b"IEND" if late else b"IDAT") - 4
    return data[:place] + png_chunk(kind, told[kind]) + data[place:]


def jpeg_with_xmp(turned):
    """Return a JPEG whose XMP, and no EXIF, tells the orientation."""
    return saved("JPEG", quality=95, xmp=XMP.format(turned).encode())


CARRIERS = {
    "jpeg exif": lambda turned: saved("JPEG", quality=95, exif=exif(turned)),
    "jpeg xmp": jpeg_with_xmp,
    "progressive jpeg": lambda t: saved("JPEG", quality=95, progressive=True, exif=exif(t)),
    "webp exif": lambda turned: saved("WEBP", lossless=True, exif=exif(turned)),
    "webp xmp": lambda turned: saved("WEBP", lossless=True, xmp=XMP.format(turned).encode()),
    "avif exif": lambda turned: saved("AVIF", quality=95, exif=exif(turned)),
    **{
        f"png {kind.decode()} {'after' if late else 'before'} the pixels": (
            lambda turned, kind=kind, late=late: png_with(turned, kind, late=late)
        )
        for kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
        for late in (False, True)
    },
}


def trained_on(data):
    """Return the pixels that a trainer gets: decoded by `datasets`, as RGB."""
    decoded = datasets.Image().decode_example({"bytes": data, "path": None})
    return np.asarray(decoded.convert("RGB"))


@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_is_decoded_is_what_a_trainer_gets(carrier):
    """For all eight orientations, wherever they are told, size and pixels are the trainer's."""
    turns = 0
    for turned in range(1, 9):
        data = CARRIERS[carrier](turned)
        expected = trained_on(data)
        assert image_size(data) == (expected.shape[1], expected.shape[0]), turned
        assert np.abs(decode_pixels(data).astype(int) - expected).max() < 8, turned
        turns += expected.shape[0] > expected.shape[1]
    assert turns == 4


@pytest.mark.parametrize("told", [0, 9, 300])
def test_nonsense_turns_nothing(told):
    """A value that is no orientation is left aside, and so is EXIF that is none."""
    assert image_size(saved("PNG", exif=exif(told))) == SIZE
    assert image_size(saved("PNG", exif=b"Exif\x00\x00MM\x00*")) == SIZE


def test_a_late_text_that_tells_nothing_changes_nothing():
    """Other words behind the pixels of a PNG are no orientation."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "made by hand", zip=False)
    data = saved("PNG", pnginfo=words)
    place = data.index(b"IEND") - 4
    late = data[:place] + png_chunk(b"tEXt", b"Comment\x00after") + data[place:]
    assert image_size(late) == SIZE
    assert np.array_equal(decode_pixels(late), np.asarray(picture()))
