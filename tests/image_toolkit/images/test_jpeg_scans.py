"""Progressive JPEGs that end before the image is complete."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from image_toolkit.images.decoding import decode_pixels, image_size
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.jpeg_scans import lacks_scans


def progressive(mode="RGB", size=(96, 64)):
    """Return a progressive JPEG of noise."""
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", progressive=True)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_one_is_whole(mode):
    """All scans are there, so it decodes; bytes in other segments are no scans."""
    data = progressive(mode)
    comment = b"\xff\xfe\x00\x08\xff\xda\x00\x01\x00\x00"
    assert not lacks_scans(data)
    assert not lacks_scans(data[:2] + comment + data[2:])
    assert decode_pixels(data[:2] + comment + data[2:]).shape == (64, 96, 3)


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["no-end", "end-put-back"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_one_that_is_cut_between_scans_is_truncated(mode, end):
    """Wherever it is cut, with or without an end marker, it is told; not passed on blurred."""
    data = progressive(mode)
    scans = [found.start() for found in re.finditer(b"\xff\xda", data)]
    assert len(scans) > 5
    for scan in scans[1:]:
        for call in (image_size, decode_pixels):
            with pytest.raises(NotAnImageError) as caught:
                call(data[:scan] + end)
            assert caught.value.reason == "truncated"


def test_hostile_segments_end():
    """Segments of no length, or of a length beyond the file, are gone through once."""
    for tail in (b"\xff\xda\x00\x00" * 999, b"\xff\xc2\xff\xff", b"\xff\xc2\x00\x02", b"\xff"):
        assert not lacks_scans(b"\xff\xd8" + tail)
