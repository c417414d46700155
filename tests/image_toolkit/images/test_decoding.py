import io
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage.data import astronaut

from image_toolkit.images.decoding import decode_image, decode_pixels, image_header, image_size
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.image_header import FORMATS, MAX_PIXELS, read_header
from image_toolkit.images.structure import structure_of
from tests.made_images import png_chunk

RED = (200, 30, 30)


def save(image, image_format, **options):
    """Return an image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def photo(width=320, height=240):
    """Return a photograph of that size."""
    return Image.fromarray(astronaut()).resize((width, height), Image.Resampling.LANCZOS)


def turned(orientation):
    """Return EXIF data that ask for the image to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def near(pixels, colour, tolerance=6):
    """Return whether an image is of one colour, but for what compression does to it."""
    return np.abs(pixels.astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize(
    "data",
    [
        save(Image.new("RGB", (40, 30), RED), "JPEG"),
        save(Image.new("RGB", (40, 30), RED), "JPEG", progressive=True),
        save(Image.new("RGB", (40, 30), RED), "JPEG")[:-2],
        save(Image.new("RGB", (40, 30), RED), "JPEG") + b"PK\x03\x04 something else",
        save(Image.new("RGB", (40, 30), RED), "PNG"),
        save(Image.new("RGB", (40, 30), RED).quantize(4), "PNG"),
        save(Image.new("RGB", (40, 30), RED), "WEBP", lossless=True),
        save(Image.new("RGB", (40, 30), RED), "GIF"),
        save(Image.new("RGB", (40, 30), RED).convert("CMYK"), "JPEG"),
        save(
            Image.new("RGB", (40, 30), RED),
            "GIF",
            save_all=True,
            append_images=[Image.new("RGB", (40, 30), "blue")],
        ),
        save(
            Image.new("RGB", (40, 30), RED),
            "WEBP",
            lossless=True,
            save_all=True,
            append_images=[Image.new("RGB", (40, 30), "blue")],
        ),
    ],
    ids=[
        *["jpeg", "progressive", "no-end-marker", "trailing-bytes", "png", "palette", "webp"],
        *["gif", "cmyk", "animated-gif", "animated-webp"],
    ],
)
def test_every_kind_of_image_comes_out_as_rgb(data):
    """The colour and the size are those of the first frame, whatever the file format."""
    assert image_size(data) == (40, 30)
    pixels = decode_pixels(data)
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    assert near(pixels, RED, tolerance=12)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (9, 9), (200, 30, 30, 0)), (255, 255, 255)),
        (Image.new("RGBA", (9, 9), (200, 30, 30, 128)), (227, 142, 142)),
        (Image.new("LA", (9, 9), (0, 0)), (255, 255, 255)),
        (Image.new("L", (9, 9), 90), (90, 90, 90)),
        (Image.new("1", (9, 9), 1), (255, 255, 255)),
        (Image.new("I;16", (9, 9), 0x8000), (128, 128, 128)),
        (Image.new("RGBA", (9, 9), (200, 30, 30, 0)).quantize(4), (255, 255, 255)),
    ],
    ids=["clear", "half-clear", "grey-clear", "grey", "one-bit", "16-bit", "clear-palette"],
)
def test_transparency_goes_over_white_and_depth_to_8_bits(image, expected):
    """Transparent pixels are white, half-transparent ones half so; 16 bits are scaled down."""
    assert near(decode_pixels(save(image, "PNG")), expected, tolerance=2)


def test_what_phones_make_is_read():
    """HEIC is read where the extra for it is installed, AVIF always."""
    heic = (Path(__file__).parent / "data" / "quarters.heic").read_bytes()
    assert image_size(heic) == (64, 48)
    pixels = decode_pixels(heic)
    assert near(pixels[:20, :28], (220, 30, 30))
    assert near(pixels[28:, 36:], (220, 220, 30))
    assert near(decode_pixels(save(Image.new("RGB", (40, 30), RED), "AVIF")), RED)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "HEIF: it is broken"),
        (b"\xff\x0a\x00\x00", "JPEG XL, which is not read; convert it"),
        (b"II*\x00\x08\x00\x00\x00", "TIFF, which is not read; convert it"),
    ],
)
def test_what_is_not_read_says_what_it_is(data, advice):
    """The message names the format, and what to do."""
    with pytest.raises(NotAnImageError, match=advice):
        image_size(data)


def test_heic_without_its_package_says_what_to_install():
    """Only there: where the package is, a file that it cannot read is broken."""
    heic = Path(__file__).parent / "data" / "quarters.heic"
    program = f"""
import sys
sys.modules |= {{"pi_heif": None, "pillow_heif": None}}  # as if they were not installed
from image_toolkit.images.image_header import open_image
open_image(open({str(heic)!r}, "rb").read())
"""
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stderr
    assert "HEIF: the package pi-heif is missing; install it" in told


@pytest.mark.parametrize(
    ("mode", "colour", "shown"),
    [("RGB", RED, RED), ("L", 40, 40), ("1", 0, 0), ("I;16", 0x2840, 0x28)],
)
def test_transparency_by_colour_goes_over_white(mode, colour, shown):
    """An image may name one of its colours that is transparent, and shows it where it does not."""
    image = Image.new(mode, (9, 9), colour)
    assert near(decode_pixels(save(image, "PNG", transparency=colour)), (255, 255, 255))
    other = (1, 2, 3) if mode == "RGB" else 1
    assert near(decode_pixels(save(image, "PNG", transparency=other)), shown)


def grey_profile():
    """Return a profile of grey values that are proportional to the light (gamma 1)."""
    text = b"text" + bytes(4) + b"linear"
    named = b"desc" + bytes(4) + struct.pack(">I", 7) + b"linear\0" + bytes(81)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63189, 65536, 54061)
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    tags = {b"desc": named, b"cprt": text, b"wtpt": white, b"kTRC": curve}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4xI4s4s4s12x4s", start + len(body), 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp"
    )
    head += bytes(28) + struct.pack(">3i", 63189, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize("turned_by", [1, 6])
@pytest.mark.parametrize(("mode", "image_format"), [("L", "JPEG"), ("L", "PNG"), ("LA", "PNG")])
def test_grey_values_are_converted_to_srgb(mode, image_format, turned_by):
    """A grey image has profiles of its own kind: half the light is 188 in sRGB, of any format."""
    image = Image.new("L", (16, 12), 128).convert(mode)
    options = {"icc_profile": grey_profile(), "exif": turned(turned_by)}
    assert near(decode_pixels(save(image, image_format, **options)), (188, 188, 188), tolerance=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied(orientation, image_format):
    """An image comes out upright, and its size is the one after turning."""
    upright = photo(64, 48)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes that EXIF undoes
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    lossless = {"lossless": True} if image_format == "WEBP" else {}
    lossless |= {"quality": 100, "subsampling": 0} if image_format == "JPEG" else {}
    data = save(stored, image_format, exif=turned(orientation), **lossless)
    assert image_size(data) == (64, 48)
    assert np.abs(decode_pixels(data).astype(int) - np.asarray(upright)).mean() < 3


def test_orientation_that_is_nonsense_is_left_aside():
    """An orientation beyond 8, or EXIF that is no EXIF, changes nothing."""
    image = Image.new("RGB", (40, 30), RED)
    assert image_size(save(image, "JPEG", exif=turned(77))) == (40, 30)
    assert image_size(save(image, "JPEG", exif=b"Exif\x00\x00garbage")) == (40, 30)


def test_colours_are_converted_to_srgb():
    """An image in another colour space looks the same in sRGB; one in sRGB is left alone."""
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in (b"rXYZ", b"gXYZ"):
        assert tag in swapped
    swapped = swapped.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    image = Image.new("RGB", (16, 16), (220, 40, 40))
    for image_format in ("JPEG", "PNG"):
        pixels = decode_pixels(save(image, image_format, icc_profile=bytes(swapped)))
        assert pixels[8, 8, 1] > 150 > pixels[8, 8, 0]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all"):
        assert near(decode_pixels(save(image, "PNG", icc_profile=profile)), (220, 40, 40))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!doctype html>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
        (b"8BPS\x00\x01", "not_an_image"),
        (b"\xff\xd8\xff\xe0", "not_an_image"),
        (save(Image.new("RGB", (9, 9)), "TIFF"), "not_an_image"),
        (save(Image.new("RGB", (9, 9)), "BMP"), "not_an_image"),
        (save(photo(), "JPEG")[:5000], "truncated"),
        (save(photo(), "JPEG")[:5000] + b"\xff\xd9", "truncated"),
        (save(photo(), "JPEG", progressive=True)[:-400], "truncated"),
        (save(photo(), "PNG")[:5000], "truncated"),
        (save(photo(), "WEBP")[:5000], "not_an_image"),
        (save(photo(), "GIF")[:5000], "truncated"),
    ],
)
def test_what_is_no_whole_image_is_an_error(data, reason):
    """Bytes that are no image, or not all of one, end in one exception with a short reason."""
    with pytest.raises(NotAnImageError) as caught:
        decode_pixels(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "text"),
        (b"\n <!doctype html>hush", "a web page, or other markup"),
        (b"\x00\x01hush", "something else, or a damaged one"),
    ],
)
def test_no_byte_of_what_is_no_image_is_told(data, looks):
    """A reject says what a file seems to be: it may be anything that a list of paths led to."""
    with pytest.raises(NotAnImageError) as caught:
        decode_pixels(data)
    assert caught.value.message == f"not a {', '.join(FORMATS)} image but {looks}"


def test_size_is_checked_before_anything_is_decoded():
    """A file of a few bytes that claims gigapixels is refused by its header."""
    claim = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", claim) + png_chunk(b"IDAT", b"x")
    for call in (image_size, decode_pixels):
        with pytest.raises(NotAnImageError) as caught:
            call(bomb)
        assert caught.value.reason == "too_many_pixels"
    with pytest.raises(NotAnImageError, match="320x240 is over 1000 pixels"):
        decode_pixels(save(photo(), "JPEG"), max_pixels=1000)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_never_escape(seed):
    """Whatever bytes are wrong, there is an image or a `NotAnImageError`, nothing else."""
    chance = np.random.default_rng(seed)
    image_format = ["JPEG", "PNG", "WEBP", "GIF"][seed % 4]
    data = np.frombuffer(save(photo(96, 64), image_format), np.uint8).copy()
    places = chance.integers(0, len(data), 30)
    data[places] = chance.integers(0, 256, 30)
    try:
        assert decode_pixels(data.tobytes()).ndim == 3
    except NotAnImageError as error:
        assert error.reason in ("not_an_image", "truncated", "too_many_pixels")  # noqa: PT017


def test_a_target_side_decodes_smaller_but_not_too_small():
    """A JPEG that will be scaled down is decoded smaller, with both sides still long enough."""
    data = save(photo(1600, 1200), "JPEG")
    assert decode_image(data, target_side=224).size == (400, 300)
    assert decode_image(data, target_side=1000).size == (1600, 1200)
    assert decode_image(save(photo(), "PNG"), target_side=64).size == (320, 240)


def test_every_fraction_of_an_odd_size_is_taken():
    """Decoders make an image so many eighths of its size, rounded up."""
    data = save(photo(779, 883), "JPEG", exif=turned(6))
    for side in range(1, 800, 23):
        width, height = decode_image(data, target_side=side).size
        eighths = next(n for n in range(1, 9) if width == -(-883 * n // 8))
        assert height == -(-779 * eighths // 8) >= min(side, 779)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BARE = {
    "colour": save(photo(), "JPEG"),
    "grey": save(photo().convert("L"), "JPEG"),
    "all colours whole": save(photo(), "JPEG", subsampling=0),
    "with a comment and a resolution": save(photo(), "JPEG", comment=b"hello", dpi=(300, 300)),
    "with restarts": save(photo(), "JPEG", restart_marker_rows=1),
    "no end": save(photo(), "JPEG")[:-2],
}
TOLD = {
    "turned": save(photo(), "JPEG", exif=turned(6)),
    "of a profile": save(photo(), "JPEG", icc_profile=SRGB),
    "progressive": save(photo(), "JPEG", progressive=True),
    "for printing": save(photo().convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("name", [*BARE, *TOLD])
def test_a_bare_jpeg_is_known_by_its_structure(name):
    """What Pillow would say of it is known from its frame, if it has nothing else to say."""
    data = {**BARE, **TOLD}[name]
    structure = structure_of(data)
    assert (structure.frame is not None) == (name in BARE)
    told_by_pillow = read_header(data, replace(structure, frame=None), MAX_PIXELS)
    assert image_header(data) == told_by_pillow


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),  # 12 bits a colour
        (b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x12\x08"),  # longer than it has colours
        (b"\xff\xdb", b"\x00\xff\xdb"),  # a byte between segments
        (b"\xff\xdb", b"\xff\xe1\x00\x08Exif\x00\x00\xff\xdb"),
        (b"\xff\xda", b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00\xff\xda"),
    ],
)
def test_whatever_is_odd_is_asked_of_pillow(old, new):
    """A frame of another kind, a second one, metadata, or bytes in between: it is not bare."""
    data = BARE["colour"]
    assert structure_of(data).frame == ("RGB", 320, 240)
    assert structure_of(data.replace(old, new, 1)).frame is None


def test_the_size_of_a_bare_jpeg_is_checked():
    """Its frame counts as what Pillow says does."""
    data = BARE["colour"]
    with pytest.raises(NotAnImageError, match="320x240 is over 1000 pixels"):
        image_header(data, max_pixels=1000)
    at = data.index(b"\xff\xc0") + 5
    with pytest.raises(NotAnImageError, match="320x0 has no pixels"):
        image_header(data[:at] + b"\0\0" + data[at + 2 :])
