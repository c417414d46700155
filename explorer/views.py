"""Views: which rows of a dataset are shown, and in which order, as given by the address."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self
from urllib.parse import urlencode

from explorer.overlay import quoted
from explorer.tables import Table, Tables
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from image_toolkit.edits.edit import CAPTION
from image_toolkit.expressions import check_expression

PAGE_ROWS: Final = 60
_RANDOM: Final = "random"


@dataclass(frozen=True)
class View:
    """Some rows of a dataset, in an order.

    `where` is a filter expression; `q` are words that the caption must contain; `sort` is a column,
    or `random` for an order drawn with `seed`. `near` is a row whose nearest images come first, and
    `like` a text whose nearest images do.
    """

    where: str = ""
    q: str = ""
    sort: str = ""
    desc: bool = False
    seed: int = 0
    near: str = ""
    like: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Return the view that a query string describes.

        Raises:
            InvalidArgumentError: a number in it is invalid.
        """
        return cls(
            where=query.get("where", "").strip(),
            q=query.get("q", "").strip(),
            sort=query.get("sort", ""),
            desc=query.get("desc") == "1",
            seed=number_of(query, "seed", 0),
            near=query.get("near", ""),
            like=query.get("like", "").strip(),
            page=max(number_of(query, "page", 1), 1),
        )

    def address(self, **changes: Any) -> str:
        """Return the query string of this view with some changes, without the `?`."""
        changed = replace(self, **changes)
        values = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in vars(changed).items()
            if value != getattr(View(), name)
        }
        return urlencode(values)


@dataclass(frozen=True)
class Query:
    """A view as SQL over a table: conditions and order, with the values of their placeholders."""

    conditions: str
    order: str
    values: tuple[Any, ...]
    order_values: tuple[Any, ...] = ()


def number_of(query: Mapping[str, str], name: str, default: int) -> int:
    """Return an integer of a query string.

    Raises:
        InvalidArgumentError: it is not an integer, or has too many digits.
    """
    word = query.get(name, "")
    if not word:
        return default
    if not word.isascii() or not word.isdigit() or len(word) > 9:  # noqa: PLR2004
        msg = f"{name} must be a whole number, not {word!r}."
        raise InvalidArgumentError(msg)
    return int(word)


def plan(tables: Tables, table: Table, view: View, ranking: Mapping[str, float]) -> Query:
    """Return the SQL of a view. `ranking` has the rows of `near` or `like` with their similarity.

    Raises:
        InvalidArgumentError: the expression is invalid, or there is no such column.
    """
    conditions: list[str] = ["true"]
    values: list[Any] = []
    if view.where:
        with tables.cursor() as cursor:
            conditions.append(check_expression(cursor, view.where, table.shown, table.fields))
    if view.q:
        column = quoted(text_column(table))
        for word in view.q.split():
            conditions.append(f"contains(lower(strip_accents({column})), lower(strip_accents(?)))")
            values.append(word)
    order_values: tuple[Any, ...] = ()
    if view.near or view.like:
        ids = list(ranking)
        conditions.append("list_contains(?::VARCHAR[], id)")
        values.append(ids)
        order, order_values = "list_position(?::VARCHAR[], id)", (ids,)
    elif view.sort == _RANDOM:
        order, order_values = "hash(id || ?::VARCHAR), id", (str(view.seed),)
    elif view.sort:
        if view.sort not in table.fields:
            hint = did_you_mean(view.sort, table.fields)
            msg = f"there is no field {view.sort!r} to sort by{hint}"
            raise InvalidArgumentError(msg)
        order = f"{quoted(view.sort)} {'DESC' if view.desc else 'ASC'} NULLS LAST, id"
    else:
        order = "id"
    return Query(" AND ".join(conditions), order, tuple(values), order_values)


def count(tables: Tables, table: Table, query: Query) -> int:
    """Return the number of rows of a view."""
    sql = f"SELECT count(*) AS n FROM {table.shown} WHERE {query.conditions}"
    return int(tables.rows(sql, query.values)[0]["n"])


def rows_of(
    tables: Tables, table: Table, query: Query, start: int, most: int
) -> list[dict[str, Any]]:
    """Return some rows of a view, in its order."""
    # The ids first: sorting whole rows takes many times as long.
    found = f"SELECT id FROM {table.shown} WHERE {query.conditions} ORDER BY {query.order} LIMIT ? OFFSET ?"  # noqa: E501
    ids = [
        row["id"] for row in tables.rows(found, [*query.values, *query.order_values, most, start])
    ]
    return rows_by_id(tables, table, ids)


def rows_by_id(tables: Tables, table: Table, ids: list[str]) -> list[dict[str, Any]]:
    """Return rows by their ids, in that order, without those that do not exist."""
    marks = ", ".join("?" for _ in ids)
    sql = f"SELECT * FROM {table.shown} WHERE id IN ({marks})"
    rows = {row["id"]: row for row in tables.rows(sql, ids)} if ids else {}
    return [rows[id_] for id_ in ids if id_ in rows]


def text_column(table: Table) -> str:
    """Return the column that a search for words looks in.

    Raises:
        InvalidArgumentError: the dataset has no text.
    """
    texts = [name for name, kind in table.columns.items() if kind == "VARCHAR"]
    for name in (CAPTION, "text", "alt_text", "prompt", "file_name", "id"):
        if name in texts:
            return name
    msg = "the dataset has no text to search in."
    raise InvalidArgumentError(msg)
