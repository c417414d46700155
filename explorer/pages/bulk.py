"""Bulk edits of all rows of a view."""

from http import HTTPStatus
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from explorer.bulk import ACTIONS, Bulk, apply, preview
from explorer.site import Site
from explorer.views import View, count, number_of
from fondant_spec.errors import FondantError

_PAGE: Final = 100


def bulk(site: Site, request: Request) -> Response:
    """Return the preview of an edit, one page of changes at a time."""
    table = site.table(request)
    view = View.of(request.query_params)
    query = site.query(table, view)
    asked = Bulk.of(request.query_params)
    problem, planned = "", None
    if asked.is_asked:
        try:
            planned = preview(site.tables, table, query, asked)
        except FondantError as error:
            problem = str(error)
    number = max(number_of(request.query_params, "p", 1), 1)
    changes = planned.changes if planned else ()
    context: dict[str, Any] = {
        "table": table,
        "tab": "bulk",
        "view": view,
        "bulk": asked,
        "actions": ACTIONS,
        "problem": problem,
        "planned": planned,
        "total": count(site.tables, table, query),
        "shown": changes[(number - 1) * _PAGE : number * _PAGE],
        "number": number,
        "pages": -(-len(changes) // _PAGE),
    }
    return site.page("bulk.html", context)


async def apply_bulk(site: Site, request: Request) -> Response:
    """Write the previewed changes."""
    try:
        content = await request.json()
        digest = content["digest"] if isinstance(content, dict) else None
    except (ValueError, KeyError, RecursionError):
        digest = None
    if not isinstance(digest, str):
        return JSONResponse({"told": "the request names no preview."}, HTTPStatus.BAD_REQUEST)
    try:
        written = await run_in_threadpool(_apply, site, request, digest)
    except FondantError as error:
        return JSONResponse({"told": str(error)}, HTTPStatus.BAD_REQUEST)
    return JSONResponse({"told": f"changed: {written:,} image{'s' * (written != 1)}"})


def _apply(site: Site, request: Request, digest: str) -> int:
    table = site.table(request)
    query = site.query(table, View.of(request.query_params))
    asked = Bulk.of(request.query_params)
    return apply(site.editing, site.tables, table, query, asked, digest)
