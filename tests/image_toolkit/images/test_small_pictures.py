"""The size of thumbnails, and their data addresses."""

import base64

import pytest

from image_toolkit.images.small_pictures import data_address, fitted_size


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((640, 480), (160, 120)),
        ((480, 640), (120, 160)),
        ((160, 3), (160, 3)),
        ((20, 10), (20, 10)),
        ((9000, 1), (160, 1)),
        ((333, 250), (160, 120)),
    ],
)
def test_a_picture_keeps_its_shape(size, fitted):
    """The longer side comes down to what is wanted; no side is lost, and none grows."""
    assert fitted_size(*size, 160) == fitted


def test_an_address_holds_the_file():
    """It is the file itself, for whoever reads the address."""
    head, _, content = data_address(b"\xff\xd8 a JPEG").partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(content) == b"\xff\xd8 a JPEG"
