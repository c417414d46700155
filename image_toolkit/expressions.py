"""SQL expressions that people write about the fields of a dataset, run where nothing else is."""

import json
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from fondant_spec.errors import InvalidArgumentError, did_you_mean

_FORBIDDEN: Final = {
    "SUBQUERY": "queries in queries",
    "STAR": "*",
    "PARAMETER": "parameters",
    "WINDOW": "window functions",
}
_ENDLESS: Final = {"range", "generate_series", "repeat", "lpad", "rpad", "list_resize"}
"""Functions that make as much as a number says, in one go that no clock can interrupt."""

_LONGEST: Final = 4000


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Take from a database, for good, every way to files, networks and other programs."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET lock_configuration = true")


def check_expression(
    connection: duckdb.DuckDBPyConnection, text: str, fields: list[str], what: str = "the filter"
) -> str:
    """Return an expression over fields that can stand in a query, in brackets.

    Raises:
        InvalidArgumentError: it is none, it is more than one, or it names what is no field.
    """
    if len(text) > _LONGEST:
        msg = f"{what} has {len(text):,} characters; {_LONGEST:,} are the most."
        raise InvalidArgumentError(msg)
    # As it is, and in brackets, as it will stand: neither may come to more than an expression.
    selected = _selected(connection, text, what)
    _selected(connection, f"({text}\n)", what)
    nodes = list(_nodes(selected))
    known = [*fields, *(name for node in nodes for name in _lambda_names(node))]
    for node in nodes:
        kind = node.get("class")
        if kind in _FORBIDDEN:
            msg = f"{what} may not have {_FORBIDDEN[kind]}: {text}"
            raise InvalidArgumentError(msg)
        if node.get("function_name") in _ENDLESS:
            msg = f"{what} may not call {node['function_name']}: {text}"
            raise InvalidArgumentError(msg)
        if kind == "COLUMN_REF":
            _check_field(node["column_names"][0], known, what)
    return f"({text}\n)"


def _selected(connection: duckdb.DuckDBPyConnection, text: str, what: str) -> dict[str, Any]:
    """Return an expression as DuckDB has parsed it."""
    row = connection.execute(
        "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {text}\n"]
    ).fetchone()
    tree = json.loads(row[0]) if row else {"error": True, "error_message": "nothing"}
    if tree["error"]:
        msg = f"{what} is no SQL expression: {tree['error_message']}, in: {text}"
        raise InvalidArgumentError(msg)
    selected = _only_expression(tree)
    if selected is None:
        msg = f"{what} must be one expression, such as `width > 512`, not: {text}"
        raise InvalidArgumentError(msg)
    return selected


def _lambda_names(node: dict[str, Any]) -> list[str]:
    """Return the names that a lambda gives to what it is called with."""
    if node.get("class") != "LAMBDA":
        return []
    names = (one.get("column_names") for one in _nodes(node.get("lhs")))
    return [name for path in names if path for name in path]


def _check_field(name: str, fields: list[str], what: str) -> None:
    known = {field.lower() for field in fields}
    if name.lower() not in known:
        hint = did_you_mean(name, fields)
        msg = f"{what}: there is no field {name!r}{hint} Fields: {', '.join(fields)}."
        raise InvalidArgumentError(msg)


def _only_expression(tree: dict[str, Any]) -> dict[str, Any] | None:
    """Return the one thing that a query selects, if the query is nothing but that."""
    statements = tree["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    selected = node.get("select_list", [])
    plain = node.get("type") == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    return selected[0] if plain and len(selected) == 1 and not _has_clauses(node) else None


def _has_clauses(node: dict[str, Any]) -> bool:
    return any(
        node.get(name) for name in ("where_clause", "having", "qualify", "sample", "modifiers")
    ) or bool(node.get("group_expressions"))


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of an expression."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
