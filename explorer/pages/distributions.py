"""The distribution of each field over the rows of a view."""

from starlette.requests import Request
from starlette.responses import Response

from explorer.distributions import distributions as spread
from explorer.site import Site
from explorer.views import View, count


def distributions(site: Site, request: Request) -> Response:
    """Return the distributions of all fields over the requested view."""
    table = site.table(request)
    view = View.of(request.query_params)
    query = site.query(table, view)
    context = {
        "table": table,
        "tab": "distributions",
        "view": view,
        "total": count(site.tables, table, query),
        "distributions": spread(site.tables, table, query),
    }
    return site.page("distributions.html", context)
