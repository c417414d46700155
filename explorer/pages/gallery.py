"""The gallery: the rows of a view as images with their captions."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from explorer.place import row_address
from explorer.site import Site
from explorer.views import PAGE_ROWS, View, count, rows_of
from fondant_spec.errors import FondantError, InvalidArgumentError


def gallery(site: Site, request: Request) -> Response:
    """Return a page of the requested view, with an error message on top if the view is invalid."""
    table = site.table(request)
    context = {"table": table, "tab": "gallery", "problem": ""}
    try:
        view = View.of(request.query_params)
        query = site.query(table, view)
        total = count(site.tables, table, query)
        start = (view.page - 1) * PAGE_ROWS
        rows = rows_of(site.tables, table, query, start, PAGE_ROWS)
    except FondantError as error:
        view = View.of({**request.query_params, "page": "", "seed": ""})
        total, start, rows = 0, 0, []
        context["problem"] = str(error)
    context |= {
        "view": view,
        "total": total,
        "start": start,
        "rows": site.with_cells(rows),
        "pages": -(-total // PAGE_ROWS),
        "ranking": {} if context["problem"] else site.ranking(table, view),
    }
    return site.page("gallery.html", context)


def at(site: Site, request: Request) -> Response:
    """Redirect to the n-th row of a view."""
    table = site.table(request)
    view = View.of(request.query_params)
    number = int(request.path_params["number"])
    rows = rows_of(site.tables, table, site.query(table, view), number, 1)
    if not rows:
        msg = f"there is no row number {number + 1} in this view."
        raise InvalidArgumentError(msg)
    address = row_address(table.manifest, rows[0]["id"])
    return RedirectResponse(f"{address}?{view.address(page=1)}&n={number}", 303)
