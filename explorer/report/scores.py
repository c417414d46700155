"""Numeric fields: their distributions, and the images at either end."""

from dataclasses import dataclass
from typing import Any, Final

import pyarrow.types as kinds

from explorer.distributions import Spread, spread_of
from explorer.overlay import quoted
from explorer.tables import Table, Tables

_AT_AN_END: Final = 4


@dataclass(frozen=True)
class Score:
    """A numeric field.

    Attributes:
        name: Its name.
        about: Its metadata, such as the model.
        spread: The distribution of its values.
        lowest: Ids of the rows with the lowest values; empty for whole numbers, equal values, or
            rows without images.
        highest: Likewise.
    """

    name: str
    about: dict[str, Any]
    spread: Spread
    lowest: tuple[str, ...] = ()
    highest: tuple[str, ...] = ()


def scores_of(tables: Tables, table: Table) -> list[Score]:
    """Return the numeric fields in order, except those that are mere identifiers."""
    return [
        _score(tables, table, name)
        for name in table.manifest.fields
        if name in table.numbers and name in table.written and not name.endswith("_id")
    ]


def _score(tables: Tables, table: Table, name: str) -> Score:
    spread = spread_of(tables, table.rows, (), name, table.written[name])
    field = table.manifest.fields[name]
    about = dict(field.metadata)
    if not table.has_images or not kinds.is_floating(field.type) or spread.low == spread.high:
        return Score(name, about, spread)
    lowest, highest = (_at_end(tables, table, name, order) for order in ("ASC", "DESC"))
    return Score(name, about, spread, lowest, highest[::-1])


def _at_end(tables: Tables, table: Table, name: str, order: str) -> tuple[str, ...]:
    c = quoted(name)
    found = tables.rows(
        f"SELECT id FROM {table.rows} WHERE isfinite({c}) ORDER BY {c} {order}, id LIMIT ?",
        [_AT_AN_END],
    )
    return tuple(row["id"] for row in found)
