import io

import numpy as np
import pytest
from PIL import Image

from demo.contact_sheet import TILE, Hit, SheetRow, contact_sheet


def jpeg(colour, size=(80, 40), **options) -> bytes:
    """Return a picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_a_sheet_shows_every_seed_and_hit(tmp_path):
    """Each row has its seed's colour at the left, then its hits' colours, best first."""
    hits = [
        Hit(jpeg("green", (60, 60)), 0.98, "a green square"),
        Hit(jpeg("blue"), 0.5, "x " * 200),
    ]
    rows = [SheetRow(jpeg("red"), "red", hits), SheetRow(jpeg("yellow"), "yellow", hits[:1])]
    contact_sheet(rows, tmp_path / "sheet.png", title="Colours", subtitle="two seeds")
    with Image.open(tmp_path / "sheet.png") as sheet:
        shown = sheet.convert("RGB")
    seen = {colour for count, colour in shown.getcolors(2**24) if count > TILE * TILE / 4}
    for colour in ((254, 0, 0), (0, 128, 1), (0, 0, 254), (255, 255, 1)):
        assert any(
            max(abs(a - b) for a, b in zip(colour, other, strict=True)) < 4 for other in seen
        )
    assert shown.width > 3 * TILE
    assert shown.height > 2 * TILE


def test_a_turned_picture_is_shown_upright(tmp_path):
    """An EXIF orientation is obeyed."""
    exif = Image.Exif()
    exif[0x0112] = 6
    row = SheetRow(jpeg("red", (80, 40), exif=exif), "tall", [Hit(jpeg("blue"), 1.0, "blue")])
    contact_sheet([row], tmp_path / "sheet.png", title="t")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), np.int16)
    red = (pixels[..., 0] > 200) & (pixels[..., 1:] < 60).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert np.ptp(rows) == TILE - 1
    assert np.ptp(columns) == TILE // 2 - 1


@pytest.mark.parametrize("caption", ["", "word", "supercalifragilistic" * 20])
def test_any_caption_fits(tmp_path, caption):
    """Empty captions and words wider than a picture are drawn without an error."""
    row = SheetRow(jpeg("red"), "red", [Hit(jpeg("blue"), 0.1, caption)])
    contact_sheet([row], tmp_path / "sheet.png", title="t")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
