"""A contact sheet: one row per seed image, with its best hits, similarities and captions."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE = 208  # pixels, the side of a tile
GAP, MARGIN = 18, 34
SEED_GAP = 34  # pixels, between a seed and its hits
TEXT_LINES, LINE_HEIGHT = 3, 19
HEADER = 104
ROUNDING = 10
PAPER, CARD, INK, FAINT, ACCENT = "#ffffff", "#f3f4f6", "#1f2328", "#6b7280", "#0b62c4"
ELLIPSIS = "…"


@dataclass(frozen=True)
class Hit:
    """A retrieved image: its file, its cosine similarity to the seed, and its caption."""

    image: bytes
    similarity: float
    caption: str


@dataclass(frozen=True)
class SheetRow:
    """A seed: its file, a short label, and its hits, best first."""

    seed: bytes
    label: str
    hits: Sequence[Hit]


def contact_sheet(rows: Sequence[SheetRow], path: Path, *, title: str, subtitle: str = "") -> None:
    """Draw the rows and write them to `path` as a PNG.

    Images keep their aspect ratio and are never cropped; captions wrap, and long ones end in an
    ellipsis.
    """
    columns = max(len(row.hits) for row in rows)
    row_height = TILE + 12 + LINE_HEIGHT * (TEXT_LINES + 1) + GAP
    width = 2 * MARGIN + TILE + SEED_GAP + columns * (TILE + GAP) - GAP
    sheet = Image.new("RGB", (width, HEADER + len(rows) * row_height + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, 24), title, INK, _font(25, bold=True))
    pen.text((MARGIN, 60), subtitle, FAINT, _font(15))
    for number, row in enumerate(rows):
        top = HEADER + number * row_height
        _tile(sheet, row.seed, (MARGIN, top), ACCENT)
        pen.text((MARGIN, top + TILE + 10), "seed", ACCENT, _font(14, bold=True))
        _write(pen, row.label, (MARGIN, top + TILE + 10 + LINE_HEIGHT))
        for column, hit in enumerate(row.hits):
            left = MARGIN + TILE + SEED_GAP + column * (TILE + GAP)
            _tile(sheet, hit.image, (left, top), None)
            similarity = f"{hit.similarity:.3f}"
            pen.text((left, top + TILE + 10), similarity, FAINT, _font(14, bold=True))
            _write(pen, hit.caption, (left, top + TILE + 10 + LINE_HEIGHT))
    sheet.save(path, optimize=True)


def _tile(sheet: Image.Image, data: bytes, at: tuple[int, int], frame: str | None) -> None:
    """Paste an image, uncropped, at the centre of a card with rounded corners."""
    card = Image.new("RGB", (TILE, TILE), CARD)
    with Image.open(io.BytesIO(data)) as image:
        picture = ImageOps.contain(ImageOps.exif_transpose(image).convert("RGB"), (TILE, TILE))
    card.paste(picture, ((TILE - picture.width) // 2, (TILE - picture.height) // 2))
    # Drawn at four times the size and scaled down, for smooth corners.
    mask = Image.new("L", (TILE * 4, TILE * 4))
    corners = (0, 0, TILE * 4 - 1, TILE * 4 - 1)
    ImageDraw.Draw(mask).rounded_rectangle(corners, ROUNDING * 4, fill=255)
    sheet.paste(card, at, mask.resize((TILE, TILE), Image.Resampling.LANCZOS))
    if frame:
        box = (at[0] - 4, at[1] - 4, at[0] + TILE + 3, at[1] + TILE + 3)
        ImageDraw.Draw(sheet).rounded_rectangle(box, ROUNDING + 3, outline=frame, width=3)


def _write(pen: ImageDraw.ImageDraw, text: str, at: tuple[int, int]) -> None:
    """Write a text in at most `TEXT_LINES` lines, each as wide as a tile."""
    font = _font(14)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= TILE:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > TEXT_LINES:
        lines = lines[:TEXT_LINES]
        while font.getlength(lines[-1] + ELLIPSIS) > TILE:
            lines[-1] = lines[-1][:-1]
        lines[-1] += ELLIPSIS
    for number, line in enumerate(lines):
        pen.text((at[0], at[1] + number * LINE_HEIGHT), line, INK, font)


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib ships."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)
