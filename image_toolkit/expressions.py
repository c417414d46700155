"""SQL expressions that people write about a dataset's fields, run in a sandbox.

NaN is treated as null in them, wherever it arises: DuckDB orders NaN above all other numbers, so
that `width / height > 0.9` would hold for an image without width or height.
"""

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
"""Functions whose output is as large as an argument says, in one uninterruptible call."""

_LONGEST: Final = 4000

_VALUES: Final = {"COLUMN_REF", "FUNCTION", "CAST"}
"""What a NaN can come from; all other expressions pass it on."""

_PLUCKED: Final = {"ARRAY_EXTRACT", "STRUCT_EXTRACT"}
_FLOATS: Final = {"FLOAT", "DOUBLE"}
_SUMS: Final = {"+", "-", "*", "/"}
"""NaN if a part is NaN, and null if one is null: so the whole is cleared, rather than each part."""

_HOLE: Final = "hole"
_CLEARED: Final = f"list_extract(list_filter([{_HOLE}], lambda one: NOT isnan(one)), 1)"
"""A float, or null if it is NaN. The value occurs in it only once: in the equivalent `CASE` it
occurs twice, and so thousands of times in nested expressions."""

_CLEARED_IF_FLOAT: Final = (
    f"list_extract(list_filter([{_HOLE}], lambda one: NOT (typeof(one) IN ('FLOAT', 'DOUBLE') "
    "AND one::VARCHAR IN ('nan', '-nan'))), 1)"
)
"""The same for a value whose type is not known beforehand, such as a lambda's argument."""


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Disable, permanently, all access of a database to files, networks and other programs."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET lock_configuration = true")


def check_expression(
    connection: duckdb.DuckDBPyConnection,
    text: str,
    rows: str,
    fields: list[str],
    what: str = "the filter",
) -> str:
    """Return an expression over the fields of a table, in brackets, that can be put into a query.

    Raises:
        InvalidArgumentError: it is not exactly one expression, or it names an unknown field.
    """
    if len(text) > _LONGEST:
        msg = f"{what} has {len(text):,} characters; {_LONGEST:,} are the most."
        raise InvalidArgumentError(msg)
    try:
        return _checked(connection, text, rows, fields, what)
    except (duckdb.SerializationException, RecursionError):
        msg = f"{what} has too many expressions within expressions: {text}"
        raise InvalidArgumentError(msg) from None


def named_fields(text: str, what: str) -> list[str]:
    """Return the fields that an expression names, in order, in its spelling.

    Raises:
        InvalidArgumentError: it is not exactly one expression.
    """
    with duckdb.connect() as connection:
        selected = _only_selected(_parsed(connection, text, what), text, what)
    nodes = list(_nodes(selected))
    own = {name for node in nodes for name in _lambda_names(node)}
    columns = (node for node in nodes if node.get("class") == "COLUMN_REF")
    names = sorted((node["query_location"], node["column_names"][0]) for node in columns)
    return list(dict.fromkeys(name for _, name in names if name not in own))


def _checked(
    connection: duckdb.DuckDBPyConnection, text: str, rows: str, fields: list[str], what: str
) -> str:
    # Checked as it is, and in brackets as it will be used: neither may be more than one expression.
    _only_selected(_parsed(connection, text, what), text, what)
    tree = _parsed(connection, f"({text}\n)", what)
    selected = _only_selected(tree, text, what)
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
    return f"({_without_nan(connection, tree, rows) or text}\n)"


def _without_nan(connection: duckdb.DuckDBPyConnection, tree: dict[str, Any], rows: str) -> str:
    """Return an expression with NaN turned into null; empty if there are no floats in it."""
    selected = _only_expression(tree)
    alone = [node for node in _nodes(selected, within=False) if _is_value(node)]
    types = {
        id(node): kind
        for node, kind in zip(alone, _types(connection, tree, alone, rows), strict=True)
    }
    frames = {"": _CLEARED_IF_FLOAT} | dict.fromkeys(_FLOATS, _CLEARED)
    left = {id(one) for node in _nodes(selected) for one in [*_named(node), *_summed(node)]}
    values = [node for node in _nodes(selected) if _is_value(node) and id(node) not in left]
    kinds = [types.get(id(node), "") for node in values]
    for node, kind in zip(values, kinds, strict=True):
        if kind in frames:
            _put_into(connection, frames[kind], node)
    return _listed(connection, tree, [selected]) if frames.keys() & kinds else ""


def _is_value(node: dict[str, Any]) -> bool:
    return node.get("class") in _VALUES or node.get("type") in _PLUCKED


def _summed(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operands of a sum, a difference, a product or a quotient."""
    if node.get("function_name") not in _SUMS:
        return []
    parts = node.get("arguments") or node.get("children") or []
    return [part.get("expression", part) for part in parts]


def _types(
    connection: duckdb.DuckDBPyConnection, tree: dict[str, Any], nodes: list[Any], rows: str
) -> list[str]:
    """Return the types of expressions over a table; empty strings if unknown."""
    if not nodes:
        return []
    try:
        listed = _listed(connection, tree, nodes)
        described = connection.execute(f"DESCRIBE SELECT {listed} FROM {rows}").fetchall()  # noqa: S608
    except duckdb.Error:  # reported when the whole expression is run
        return [""] * len(nodes)
    return [str(row[1]) for row in described]


def _listed(
    connection: duckdb.DuckDBPyConnection, tree: dict[str, Any], expressions: list[Any]
) -> str:
    """Return the SQL of parsed expressions, separated by commas; `tree` is their query."""
    (statement,) = tree["statements"]
    node = {**statement["node"], "select_list": expressions}
    text = json.dumps({**tree, "statements": [{**statement, "node": node}]})
    ((told,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [text]).fetchall()
    return str(told).removeprefix("SELECT ")


def _put_into(connection: duckdb.DuckDBPyConnection, frame: str, node: dict[str, Any]) -> None:
    """Replace an expression by a frame with the expression in its hole."""
    inner = dict(node)
    outer = _only_expression(_parsed(connection, frame, "")) or {}
    # Only the first: the inserted expression may contain a field of the same name.
    hole = next(one for one in _nodes(outer) if one.get("column_names") == [_HOLE])
    hole.clear()
    hole.update(inner)
    node.clear()
    node.update(outer)


def _parsed(connection: duckdb.DuckDBPyConnection, text: str, what: str) -> dict[str, Any]:
    """Return DuckDB's parse tree of a query that selects an expression."""
    query = f"SELECT {text}\n"
    ((told,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    tree: dict[str, Any] = json.loads(told)
    if tree["error"]:
        msg = f"{what} is no SQL expression: {tree['error_message']}, in: {text}"
        raise InvalidArgumentError(msg)
    return tree


def _only_selected(tree: dict[str, Any], text: str, what: str) -> dict[str, Any]:
    selected = _only_expression(tree)
    if selected is None:
        msg = f"{what} must be one expression, such as `width > 512`, not: {text}"
        raise InvalidArgumentError(msg)
    return selected


def _lambda_names(node: dict[str, Any]) -> list[str]:
    """Return the names of a lambda's parameters."""
    names = (one.get("column_names") for one in _named(node))
    return [name for path in names if path for name in path]


def _named(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a lambda that only name its parameters."""
    return list(_nodes(node.get("lhs"))) if node.get("class") == "LAMBDA" else []


def _check_field(name: str, fields: list[str], what: str) -> None:
    known = {field.lower() for field in fields}
    if name.lower() not in known:
        hint = did_you_mean(name, fields)
        msg = f"{what}: there is no field {name!r}{hint} Fields: {', '.join(fields)}."
        raise InvalidArgumentError(msg)


def _only_expression(tree: dict[str, Any]) -> dict[str, Any] | None:
    """Return the only expression that a query selects, if the query is nothing more."""
    statements = tree["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    selected = node.get("select_list", [])
    plain = node.get("type") == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    return selected[0] if plain and len(selected) == 1 and not _has_clauses(node) else None


def _has_clauses(node: dict[str, Any]) -> bool:
    return any(
        node.get(name) for name in ("where_clause", "having", "qualify", "sample", "modifiers")
    ) or bool(node.get("group_expressions"))


def _nodes(value: Any, *, within: bool = True) -> Iterator[dict[str, Any]]:
    """Yield every node of an expression; without those of lambdas if not `within`."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            if within or one.get("class") != "LAMBDA":
                waiting += one.values()
        elif isinstance(one, list):
            waiting += one
