"""Distributions of column values: bars, each with the filter expression for its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from explorer.overlay import quoted
from explorer.tables import Table, Tables, is_number
from explorer.views import Query
from explorer.wording import column, literal
from image_toolkit.page_values import number

_BARS: Final = 24
_FEW: Final = 12


@dataclass(frozen=True)
class Bar:
    """The number of rows with a value or in a range. `where` is the filter expression for them."""

    label: str
    rows: int
    where: str


@dataclass(frozen=True)
class Distribution:
    """The values of a column. `told` says in words what the bars leave out."""

    name: str
    kind: str
    bars: tuple[Bar, ...]
    told: str

    @property
    def most(self) -> int:
        """Number of rows in the longest bar."""
        return max((bar.rows for bar in self.bars), default=0)


@dataclass(frozen=True)
class Spread:
    """The distribution of a numeric column.

    Attributes:
        missing: Rows without a finite value.
        low: The smallest value; like the next three, None if no row has one.
        edges: The lower edge of each bar; the last bar ends at `high`, inclusive.
        bars: Number of rows in each bar.
    """

    missing: int
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    median: float | None = None
    edges: tuple[float, ...] = ()
    bars: tuple[int, ...] = ()


def distributions(tables: Tables, table: Table, query: Query) -> list[Distribution]:
    """Return the distributions of all columns with one value per row."""
    source = f"(SELECT * FROM {table.shown} WHERE {query.conditions})"
    return [
        _numbers(tables, source, query, name, kind)
        if is_number(kind)
        else _values(tables, source, query, name, kind)
        for name, kind in table.columns.items()
        if name in table.fields and name != "id" and (is_number(kind) or _is_plain(kind))
    ]


def _is_plain(kind: str) -> bool:
    return kind in {"VARCHAR", "BOOLEAN", "DATE"} or kind.startswith("TIMESTAMP")


def _numbers(tables: Tables, source: str, query: Query, name: str, kind: str) -> Distribution:
    spread = spread_of(tables, source, query.values, name, kind)
    missing = f"{spread.missing:,} without a value"
    if not spread.bars:
        return Distribution(name, kind, (), missing)
    words = (
        f"{number(spread.low)} to {number(spread.high)}, mean {number(spread.mean)}, "
        f"median {number(spread.median)}" + (f"; {missing}" if spread.missing else "")
    )
    shown = tuple(
        _range(name, start, end, spread.high, rows)
        for start, end, rows in zip(
            spread.edges, [*spread.edges[1:], None], spread.bars, strict=True
        )
    )
    return Distribution(name, kind, shown, words)


def spread_of(tables: Tables, source: str, values: Sequence[Any], name: str, kind: str) -> Spread:
    """Return the distribution of a numeric column.

    Args:
        tables: the tables that hold the column.
        source: a table, or a query in parentheses with a placeholder for each of `values`.
        values: the values of the placeholders.
        name: the column's name.
        kind: its DuckDB type.
    """
    c = quoted(name)
    finite = f"{c} IS NOT NULL AND isfinite({c}::DOUBLE)"
    told = tables.rows(
        f"SELECT count(*) AS n, count(*) FILTER ({finite}) AS k, min({c}) FILTER ({finite}) AS low, "  # noqa: E501
        f"max({c}) FILTER ({finite}) AS high, avg({c}) FILTER ({finite}) AS mean, "
        f"median({c}) FILTER ({finite}) AS middle FROM {source}",
        values,
    )[0]
    missing = told["n"] - told["k"]
    if not told["k"]:
        return Spread(missing)
    low = told["low"]
    whole = "INT" in kind
    span = float(told["high"]) - float(low)
    bars = min(_BARS, int(span) + 1) if whole else _BARS if span else 1
    width = (-(-(int(span) + 1) // bars) if whole else span / bars) or 1
    counted = tables.rows(
        f"SELECT least(floor(({c}::DOUBLE - ?) / ?), ?)::INTEGER AS bar, count(*) AS n "
        f"FROM {source} WHERE {finite} GROUP BY bar",
        [float(low), float(width), bars - 1, *values],
    )
    by_bar = {row["bar"]: row["n"] for row in counted}
    return Spread(
        missing,
        low,
        told["high"],
        told["mean"],
        told["middle"],
        edges=tuple(low + bar * width for bar in range(bars)),
        bars=tuple(by_bar.get(bar, 0) for bar in range(bars)),
    )


def _range(name: str, start: Any, end: Any, high: Any, rows: int) -> Bar:
    """Return the bar of a range; the last one includes its upper bound."""
    upper = (
        f"{column(name)} < {literal(end)}"
        if end is not None
        else f"{column(name)} <= {literal(high)}"
    )
    last = high if end is None else end
    label = f"{number(start)} to {number(last)}"
    return Bar(label, rows, f"{column(name)} >= {literal(start)} AND {upper}")


def _values(tables: Tables, source: str, query: Query, name: str, kind: str) -> Distribution:
    c = quoted(name)
    counted = tables.rows(
        f"SELECT {c} AS value, count(*) AS n FROM {source} GROUP BY value "
        f"ORDER BY n DESC, value LIMIT {_FEW}",
        query.values,
    )
    told = tables.rows(
        f"SELECT count(DISTINCT {c}) AS kinds, count(*) - count({c}) AS missing FROM {source}",
        query.values,
    )[0]
    bars = tuple(
        Bar(
            "none" if row["value"] is None else str(row["value"]),
            row["n"],
            f"{column(name)} IS NULL"
            if row["value"] is None
            else f"{column(name)} = {literal(row['value'])}",
        )
        for row in counted
    )
    if bars and bars[0].rows == 1:  # all values differ: bars of one row each show nothing
        bars = ()
    words = f"{told['kinds']:,} distinct" + (
        f", the {_FEW} most frequent shown" if told["kinds"] > _FEW and bars else ""
    )
    missing = f"; {told['missing']:,} without a value" if told["missing"] else ""
    return Distribution(name, kind, bars, words + missing)
