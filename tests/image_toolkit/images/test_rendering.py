import io

import imagehash
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from image_toolkit.images.decoding import decode_image, decode_pixels
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.jpeg import without_metadata
from image_toolkit.images.rendering import Rendering, UnwantedImageError, phash
from tests.image_toolkit.images.test_decoding import photo, save, turned


def rendering_of(*arguments, **settings):
    """Return a rendering that leaves no image out for its shape."""
    return Rendering(*arguments, **{"min_image_size": 0, "max_aspect_ratio": 1e9, **settings})


@pytest.mark.parametrize(
    ("mode", "resize_only_if_bigger", "size", "expected"),
    [
        ("no", False, (640, 480), (640, 480)),
        ("keep_ratio", False, (640, 480), (171, 128)),
        ("keep_ratio", False, (64, 48), (171, 128)),
        ("keep_ratio", True, (64, 48), (64, 48)),
        ("keep_ratio", True, (640, 128), (640, 128)),
        ("center_crop", False, (640, 480), (128, 128)),
        ("center_crop", False, (64, 48), (128, 128)),
        ("center_crop", True, (64, 48), (64, 48)),
        ("center_crop", True, (640, 129), (128, 128)),
        ("border", False, (640, 480), (128, 128)),
        ("border", True, (64, 48), (64, 48)),
        ("keep_ratio", False, (3000, 20), (19200, 128)),
    ],
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_sizes_are_those_of_the_resize_mode(
    image_format, mode, resize_only_if_bigger, size, expected
):
    """Each mode gives its size; the original one stands beside it."""
    rendering = rendering_of(128, mode, resize_only_if_bigger=resize_only_if_bigger)
    made = rendering.render(save(photo(*size), image_format))
    assert (made.width, made.height) == expected
    assert Image.open(io.BytesIO(made.data)).size == expected
    assert (made.original_width, made.original_height) == size


def test_sizes_count_after_orientation():
    """An image that lies on its side is measured as it shows."""
    data = save(photo(300, 200), "JPEG", exif=turned(6))
    made = rendering_of(128, "keep_ratio").render(data)
    assert (made.original_width, made.original_height) == (200, 300)
    assert (made.width, made.height) == (128, 192)


@pytest.mark.parametrize("size", [(500, 400), (700, 520), (1100, 900), (3000, 2500)])
def test_resizing_is_as_good_as_lanczos(size):
    """The luminance of a centre crop is within 0.98 SSIM of a Lanczos resize, at any ratio."""
    data = save(photo(*size), "JPEG", quality=92)
    image = Image.open(io.BytesIO(data))
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    square = image.crop((left, top, left + side, top + side))
    reference = square.resize((256, 256), Image.Resampling.LANCZOS)
    rendering = rendering_of(256, "center_crop", resize_only_if_bigger=False)
    ours = decode_image(rendering.render(data).data)
    pair = [np.asarray(image.convert("L")) for image in (reference, ours)]
    assert structural_similarity(*pair) > 0.98


def test_a_border_is_white():
    """Padding is white, above and below or left and right."""
    rendering = rendering_of(128, "border", resize_only_if_bigger=False)
    made = rendering.render(save(photo(400, 100), "PNG"))
    pixels = decode_pixels(made.data)
    assert pixels[:40].min() > 245
    assert pixels[90:].min() > 245
    assert pixels[56:72].mean() < 200


@pytest.mark.parametrize(
    ("size", "reason", "message"),
    [
        ((99, 300), "too_small", "99x300 < 100"),
        ((300, 99), "too_small", "300x99 < 100"),
        ((300, 100), "aspect_ratio", "300x100: ratio 3.00 > 2.5"),
        ((100, 251), "aspect_ratio", "100x251: ratio 2.51 > 2.5"),
    ],
)
def test_unwanted_shapes_are_left_out(size, reason, message):
    """What is too small or too narrow is named with its figures."""
    rendering = Rendering(min_image_size=100, max_aspect_ratio=2.5)
    with pytest.raises(UnwantedImageError) as caught:
        rendering.render(save(photo(*size), "PNG"))
    assert (caught.value.reason, caught.value.message) == (reason, message)


@pytest.mark.parametrize("encode_format", ["jpg", "webp", "png"])
@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "PNG"])
def test_any_format_becomes_the_one_asked_for(encode_format, image_format):
    """The format of the result does not depend on that of the source."""
    made = rendering_of(64, encode_format=encode_format).render(save(photo(), image_format))
    assert Image.open(io.BytesIO(made.data)).format == {"jpg": "JPEG"}.get(
        encode_format, encode_format.upper()
    )


def test_a_jpeg_that_needs_no_change_keeps_its_pixels_but_not_its_metadata():
    """Without a resize the compressed data stay; EXIF, comments and what follows the end go."""
    data = save(photo(), "JPEG", exif=turned(1), comment=b"secret place", quality=70)
    made = rendering_of(resize_mode="no").render(data + b"PK\x03\x04 a second file")
    assert len(made.data) < len(data)
    assert b"secret" not in made.data
    assert b"Exif" not in made.data
    assert made.data.endswith(b"\xff\xd9")
    assert np.array_equal(decode_pixels(made.data), decode_pixels(data))


def test_a_jpeg_that_is_kept_is_still_looked_at():
    """Not encoding again is no reason to take half an image."""
    with pytest.raises(NotAnImageError, match=r"premature end"):
        rendering_of(resize_mode="no").render(save(photo(), "JPEG")[:6000])


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\xff\xff", b"\xff\xd8\x00\x00\x00\x00", b"PNG"]
)
def test_stripping_what_is_no_jpeg_is_an_error(data):
    """Bytes that are no row of segments are not touched."""
    with pytest.raises(ValueError, match=r"no JPEG|no scan"):
        without_metadata(data)


def test_the_perceptual_hash_is_that_of_imagehash():
    """Like images have like hashes, unlike ones do not, and the bits are those ImageHash counts."""
    pixels = np.asarray(photo(512, 512))
    theirs = int(str(imagehash.phash(Image.fromarray(pixels))), 16)
    assert (int(phash(pixels), 16) ^ theirs).bit_count() <= 6
    smaller = np.asarray(photo(300, 300))
    assert (int(phash(pixels), 16) ^ int(phash(smaller), 16)).bit_count() <= 4
    other = pixels[::-1, ::-1]
    assert (int(phash(pixels), 16) ^ int(phash(np.ascontiguousarray(other)), 16)).bit_count() > 16


def test_a_kept_jpeg_may_go_undecoded():
    """Where decoding is switched off, the end marker is still looked for."""
    rendering = rendering_of(resize_mode="no", decode_kept=False)
    whole = save(photo(), "JPEG")
    assert rendering.render(whole).data == without_metadata(whole)
    assert rendering.render(whole).phash is None
    with pytest.raises(NotAnImageError, match="premature end"):
        rendering.render(whole[:6000])
