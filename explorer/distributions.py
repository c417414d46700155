"""What values a column has: bars, each with the expression for what lies in it."""

from dataclasses import dataclass
from typing import Any, Final

from explorer.overlay import quoted
from explorer.tables import Table, Tables, is_number
from explorer.views import Query
from explorer.wording import column, literal, number

_BARS: Final = 24
_FEW: Final = 12


@dataclass(frozen=True)
class Bar:
    """How many rows have a value, or one in a range. `where` is the expression for them."""

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
        """Rows in the longest bar."""
        return max((bar.rows for bar in self.bars), default=0)


def distributions(tables: Tables, table: Table, query: Query) -> list[Distribution]:
    """Return the distributions of all columns that hold one value a row."""
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
    c = quoted(name)
    finite = f"{c} IS NOT NULL AND isfinite({c}::DOUBLE)"
    told = tables.rows(
        f"SELECT count(*) AS n, count(*) FILTER ({finite}) AS k, min({c}) FILTER ({finite}) AS low, "  # noqa: E501
        f"max({c}) FILTER ({finite}) AS high, avg({c}) FILTER ({finite}) AS mean, "
        f"median({c}) FILTER ({finite}) AS middle FROM {source}",
        query.values,
    )[0]
    missing = told["n"] - told["k"]
    if not told["k"]:
        return Distribution(name, kind, (), f"{missing:,} without a value")
    low, high = told["low"], told["high"]
    whole = "INT" in kind
    span = float(high) - float(low)
    bars = min(_BARS, int(span) + 1) if whole else _BARS if span else 1
    width = (-(-(int(span) + 1) // bars) if whole else span / bars) or 1
    counted = tables.rows(
        f"SELECT least(floor(({c}::DOUBLE - ?) / ?), ?)::INTEGER AS bar, count(*) AS n "
        f"FROM {source} WHERE {finite} GROUP BY bar",
        [float(low), float(width), bars - 1, *query.values],
    )
    by_bar = {row["bar"]: row["n"] for row in counted}
    words = (
        f"{number(low)} to {number(high)}, mean {number(told['mean'])}, "
        f"median {number(told['middle'])}" + (f"; {missing:,} without a value" if missing else "")
    )
    shown = tuple(
        _range(
            name,
            low + bar * width,
            None if bar == bars - 1 else low + (bar + 1) * width,
            high,
            by_bar.get(bar, 0),
        )
        for bar in range(bars)
    )
    return Distribution(name, kind, shown, words)


def _range(name: str, start: Any, end: Any, high: Any, rows: int) -> Bar:
    """Return the bar of a range; the last one has its end in it."""
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
    if bars and bars[0].rows == 1:  # all different: bars of one row each tell nothing
        bars = ()
    words = f"{told['kinds']:,} different" + (
        f", the {_FEW} most frequent shown" if told["kinds"] > _FEW and bars else ""
    )
    missing = f"; {told['missing']:,} without a value" if told["missing"] else ""
    return Distribution(name, kind, bars, words + missing)
