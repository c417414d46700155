"""Write requests; each is answered with the updated rows."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from explorer.editing import EditedMeanwhileError, changes_of
from explorer.site import Site
from explorer.tables import Table
from explorer.views import View, rows_by_id
from fondant_spec.errors import FondantError, InvalidArgumentError


async def edits(site: Site, request: Request) -> Response:
    """Write changes to rows; the answer has their updated cards."""
    return await _answered(request, lambda content: _write(site, request, content))


async def undo(site: Site, request: Request) -> Response:
    """Undo an action; the answer says what was undone."""
    return await _answered(request, lambda content: _undo(site, content))


async def _answered(request: Request, answer: Callable[[Any], Response]) -> Response:
    try:
        content = await request.json()
    except (ValueError, RecursionError):
        return _told("the request is no JSON.", HTTPStatus.BAD_REQUEST)
    try:
        return await run_in_threadpool(answer, content)
    except FondantError as error:
        return _told(str(error), HTTPStatus.BAD_REQUEST)


def _write(site: Site, request: Request, content: Any) -> Response:
    table = site.table(request)
    changes = changes_of(content)
    try:
        site.editing.write(table, changes)
    except EditedMeanwhileError as error:
        theirs = {
            field: {
                "by": cell.edit.by,
                "at": cell.edit.at,
                "value": cell.value,
                "after": cell.ids,
            }
            for field, cell in error.cells.items()
        }
        answer = {"told": str(error), "theirs": theirs, "cards": _cards(site, table, content)}
        return JSONResponse(answer, HTTPStatus.CONFLICT)
    return JSONResponse({"cards": _cards(site, table, content)})


def _undo(site: Site, content: Any) -> Response:
    action = content.get("action", "") if isinstance(content, dict) else None
    if not isinstance(action, str):
        msg = "an action is named by its id."
        raise InvalidArgumentError(msg)
    undone = site.editing.undo(action)
    names = content.get("dataset")
    cards = {}
    if isinstance(names, list) and len(names) == 3 and all(isinstance(n, str) for n in names):  # noqa: PLR2004
        table = site.tables.open(site.place.dataset(*names))
        cards = _cards(site, table, content)
    told = f"undone: {len(undone)} edit{'s' * (len(undone) != 1)}"
    return JSONResponse({"told": told, "cards": cards, "rows": [edit.row for edit in undone]})


def _cards(site: Site, table: Table, content: Any) -> dict[str, str]:
    """Return the re-rendered cards of the rows that the page shows."""
    asked = content.get("show", [])
    shown = [one for one in asked if isinstance(one, str)] if isinstance(asked, list) else []
    large = content.get("large") is True
    cards = {}
    for row, cells in site.with_cells(rows_by_id(site.tables, table, shown[:1000])):
        context = {"table": table, "row": row, "cells": cells, "large": large, "view": View()}
        cards[row["id"]] = site.text("_card.html", context | {"number": -1, "score": None})
    return cards


def _told(why: str, status: HTTPStatus) -> Response:
    return JSONResponse({"told": why, "cards": {}}, status)
