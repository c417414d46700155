"""Image sizes, and the buckets that trainers sort them into."""

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import Final

from explorer.distributions import Spread, spread_of
from explorer.overlay import quoted
from explorer.tables import Table, Tables, is_number
from image_toolkit.training.base_models import BASE_MODELS
from image_toolkit.training.buckets import STEP, Buckets, Size, sort_into_buckets

_WIDTHS: Final = (("image_width", "image_height"), ("width", "height"))
_SHOWN: Final = 8
_REPEATS: Final = "repeats"
"""The field with an image's number of repeats per epoch; null means one."""

_CELLS: Final = 24
"""Maximum number of cells along each side of the map."""


@dataclass(frozen=True)
class Arrangement:
    """The buckets of the images, for the models trained at one resolution.

    `enlarging` is for trainers that enlarge small images, `kept` for those that do not, as with
    kohya's `bucket_no_upscale`.
    """

    models: tuple[str, ...]
    enlarging: Buckets
    kept: Buckets


@dataclass(frozen=True)
class SizeMap:
    """A two-dimensional histogram of widths and heights, in pixels.

    A cell has a `side`, and an axis its `end`; a cell is named by the width and height at its
    centre.
    """

    side: int
    end: int
    cells: dict[Size, int]


@dataclass(frozen=True)
class Sizes:
    """Image sizes, in pixels.

    Attributes:
        fields: The width and height fields.
        images: The number of images with a size.
        seen: The number of images per epoch; higher than `images` where a field sets repeats.
        missing: The number of rows without a positive size.
        kinds: The number of distinct sizes.
        most: The most frequent sizes, with their number of images.
        smallest: The smallest size, by number of pixels.
        largest: The largest size, by number of pixels.
        shorter_side: The distribution of the shorter sides.
        aspect_ratio: The distribution of width divided by height.
        map: The histogram of sizes.
        arrangements: The buckets for each resolution that models are trained at, with the images of
            one epoch.
    """

    fields: tuple[str, str]
    images: int
    seen: int
    missing: int
    kinds: int
    most: dict[Size, int]
    smallest: Size
    largest: Size
    shorter_side: Spread
    aspect_ratio: Spread
    map: SizeMap
    arrangements: tuple[Arrangement, ...]


def sizes_of(tables: Tables, table: Table) -> Sizes | None:
    """Return the image sizes; None if no field has them."""
    fields = next((both for both in _WIDTHS if set(both) <= set(table.written)), None)
    if fields is None or not all(is_number(table.written[name]) for name in fields):
        return None
    width, height = map(quoted, fields)
    repeated = is_number(table.written.get(_REPEATS, ""))
    times = f"greatest(coalesce({quoted(_REPEATS)}, 1), 0)" if repeated else "1"
    sized = (
        f"(SELECT {times} AS times, "
        f"least({width}, {height})::INTEGER AS shorter, {width} / {height} AS ratio, "
        f"{width}::INTEGER AS w, {height}::INTEGER AS h FROM {table.rows} "
        f"WHERE {width} >= 1 AND {height} >= 1)"
    )
    counted = tables.rows(
        f"SELECT w, h, count(*) AS n, sum(times)::BIGINT AS seen FROM {sized} "
        "GROUP BY w, h ORDER BY n DESC, w, h"
    )
    sizes = {(row["w"], row["h"]): row["n"] for row in counted}
    seen = {(row["w"], row["h"]): row["seen"] for row in counted if row["seen"]}
    if not sizes:
        return None
    images = sum(sizes.values())
    every = int(tables.rows(f"SELECT count(*) AS n FROM {table.rows}")[0]["n"])
    by_pixels = sorted(sizes, key=lambda one: one[0] * one[1])
    return Sizes(
        fields=fields,
        images=images,
        seen=sum(seen.values()),
        missing=every - images,
        kinds=len(sizes),
        most=dict(list(sizes.items())[:_SHOWN]),
        smallest=by_pixels[0],
        largest=by_pixels[-1],
        shorter_side=spread_of(tables, sized, (), "shorter", "INTEGER"),
        aspect_ratio=spread_of(tables, sized, (), "ratio", "DOUBLE"),
        map=_map_of(sizes),
        arrangements=tuple(_arrangements(seen)),
    )


def _map_of(sizes: dict[Size, int]) -> SizeMap:
    """Return a histogram that covers all images and the squares that models are trained at."""
    squares = (model.resolution for model in BASE_MODELS.values())
    reach = max(*(max(size) for size in sizes), *(5 * square // 4 for square in squares))
    side = STEP * ceil(reach / STEP / _CELLS)
    cells: Counter[Size] = Counter()
    for size, images in sizes.items():
        cells[_middle(size[0], side), _middle(size[1], side)] += images
    return SizeMap(side, side * (reach // side + 1), dict(sorted(cells.items())))


def _middle(pixels: int, side: int) -> int:
    return pixels // side * side + side // 2


def _arrangements(sizes: dict[Size, int]) -> list[Arrangement]:
    models: dict[int, list[str]] = {}
    for model in BASE_MODELS.values():
        models.setdefault(model.resolution, []).append(model.name)
    return [
        Arrangement(
            tuple(names),
            sort_into_buckets(sizes, resolution),
            sort_into_buckets(sizes, resolution, enlarges=False),
        )
        for resolution, names in models.items()
    ]
