"""How large the images are, and into which buckets trainers sort them."""

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
"""The field that says how often an image is to be seen in an epoch; null is once."""

_CELLS: Final = 24
"""So many cells has the map along a side, at most."""


@dataclass(frozen=True)
class Arrangement:
    """Into which buckets the images go for the models that train at one resolution.

    `enlarging` is for trainers that make small images larger, `kept` for those that leave them as
    they are, as kohya's `bucket_no_upscale` says.
    """

    models: tuple[str, ...]
    enlarging: Buckets
    kept: Buckets


@dataclass(frozen=True)
class SizeMap:
    """How many images lie in which square of the plane of widths and heights.

    All is in pixels: a cell has a `side`, an axis its `end`; a cell is named by the width and the
    height of its middle.
    """

    side: int
    end: int
    cells: dict[Size, int]


@dataclass(frozen=True)
class Sizes:
    """How large the images are, in pixels.

    Attributes:
        fields: Where width and height stand.
        images: How many images have a size.
        seen: How many of them an epoch has, which is more where a field says repeats.
        missing: How many rows say none, or one that is not above 0.
        kinds: How many different sizes there are.
        most: The most frequent ones, with how many images have them.
        smallest: Of all, by pixels.
        largest: Likewise.
        shorter_side: How the shorter sides are spread.
        aspect_ratio: How width by height is.
        map: How many images have about which size.
        arrangements: The buckets, for each resolution that models train at, with as many images as
            an epoch has.
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
    """Return how large the images are; None where no field says that."""
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
    """Return a map that reaches beyond all images, and beyond the squares that models train at."""
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
