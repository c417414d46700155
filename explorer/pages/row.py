"""One row: its image, its editable fields, and its lineage back to the seed."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from explorer.site import Site
from explorer.tables import Table
from explorer.views import View, count, number_of, rows_by_id
from fondant_spec.dataset.lineage import ancestors
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.errors import FondantError, InvalidArgumentError
from image_toolkit.images.image_errors import NotAnImageError

_SAME: Final = ("seed_id", "host", "group", "duplicate_of", "cluster")
"""Fields whose shared values are worth following."""


def row_page(site: Site, request: Request) -> Response:
    """Return all that is known about a row."""
    table = site.table(request)
    view = View.of(request.query_params)
    row_id = request.path_params["row"]
    found = rows_by_id(site.tables, table, [row_id])
    if not found:
        msg = f"{table.manifest.step_id} has no row {row_id!r}."
        raise InvalidArgumentError(msg)
    ((row, cells),) = site.with_cells(found)
    number = number_of(request.query_params, "n", -1)
    context = {
        "table": table,
        "tab": "gallery",
        "view": view,
        "row": row,
        "cells": cells,
        "number": number,
        "total": count(site.tables, table, site.query(table, view)) if number >= 0 else 0,
        "same": _same(site, table, row),
        "broken": _broken(site, table, row_id),
    }
    return site.page("row.html", context | _lineage(table.manifest, row_id))


def _lineage(manifest: Manifest, row_id: str) -> dict[str, Any]:
    """Return the row in each step that wrote fields of it, last step first."""
    steps: list[tuple[Manifest, list[tuple[Field, Any]], str]] = []
    try:
        for step, own in ancestors([(manifest, row_id)]):
            fields = [(field, own[field.name]) for field in step.own_fields]
            steps.append((step, fields, own["id"]))
    except FondantError as error:
        return {"lineage": steps, "lost": str(error)}
    return {"lineage": steps, "lost": ""}


def _same(site: Site, table: Table, row: dict[str, Any]) -> list[tuple[str, Any, int]]:
    """Return the values that the row shares with others: field, value and number of rows."""
    shared: list[tuple[str, Any, int]] = []
    for name in _SAME:
        if name in table.columns and row[name] is not None:
            sql = f'SELECT count(*) AS n FROM {table.shown} WHERE "{name}" = ?'
            shared.append((name, row[name], site.tables.rows(sql, [row[name]])[0]["n"]))
    return shared


def _broken(site: Site, table: Table, row_id: str) -> str:
    """Return why the image cannot be shown; empty if it can."""
    if not table.has_images:
        return ""
    try:
        site.pictures.thumbnail(table.manifest, row_id)
    except NotAnImageError as error:
        return f"{error.reason}: {error.message}"
    except FondantError as error:
        return str(error)
    return ""
