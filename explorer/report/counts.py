"""Value counts of a column: hosts, licences, tags, groups."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from explorer.overlay import quoted
from explorer.tables import HOST, Table, Tables
from image_toolkit.licences import licence_id

_FEW: Final = 12
_LICENCES: Final = ("license", "licence")


@dataclass(frozen=True)
class Counts:
    """The most frequent values of a column.

    Attributes:
        field: The column.
        rows: The number of rows with a value; for lists, the number of values.
        missing: The number of rows without one.
        kinds: The number of distinct values.
        most: The most frequent values, with their number of rows.
    """

    field: str
    rows: int
    missing: int
    kinds: int
    most: dict[str, int]

    @property
    def first(self) -> tuple[str, float]:
        """The most frequent value, and its share of the rows that have one."""
        value, rows = next(iter(self.most.items()))
        return value, rows / self.rows


def hosts_of(tables: Tables, table: Table) -> Counts | None:
    """Return the hosts that the images come from, if known."""
    return _counts(tables, table, HOST) if HOST in table.written else None


def licences_of(tables: Tables, table: Table) -> Counts | None:
    """Return the licences of the images, if there is a licence field."""
    named = {name.lower(): name for name in table.manifest.fields}
    field = next((named[name] for name in _LICENCES if name in named), None)
    return None if field is None else _counts(tables, table, field, licence_id)


def tags_of(tables: Tables, table: Table) -> Counts | None:
    """Return the most frequent tags, if there are any."""
    if table.written.get("tags") != "VARCHAR[]":
        return None
    each = f"SELECT unnest(list_distinct(tags)) AS value FROM {table.rows}"
    counted = tables.rows(f"SELECT value, count(*) AS n FROM ({each}) GROUP BY value")
    none = tables.rows(f"SELECT count(*) AS n FROM {table.rows} WHERE len(coalesce(tags, [])) = 0")
    return replace(_of_rows("tags", counted), missing=int(none[0]["n"]))


def _counts(tables: Tables, table: Table, field: str, name: Callable[[str], str] = str) -> Counts:
    c = quoted(field)
    rows = tables.rows(
        f"SELECT {c}::VARCHAR AS value, count(*) AS n FROM {table.rows} GROUP BY value"
    )
    return _of_rows(field, rows, name)


def _of_rows(field: str, rows: list[dict[str, Any]], name: Callable[[str], str] = str) -> Counts:
    counted: Counter[str] = Counter()
    missing = 0
    for row in rows:
        if row["value"] is None:
            missing += row["n"]
        else:
            counted[name(row["value"])] += row["n"]
    ordered = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    return Counts(field, counted.total(), missing, len(counted), dict(ordered[:_FEW]))
