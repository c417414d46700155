"""The web application: routes, and error pages."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from explorer.guard import Guard
from explorer.pages.bulk import apply_bulk, bulk
from explorer.pages.compare import compare
from explorer.pages.distributions import distributions
from explorer.pages.gallery import at, gallery
from explorer.pages.history import history
from explorer.pages.images import original, thumbnail
from explorer.pages.rejects import rejects
from explorer.pages.review import review
from explorer.pages.row import row_page
from explorer.pages.runs import overview, run
from explorer.pages.writes import edits, undo
from explorer.site import Site
from explorer.templating import HERE
from fondant_spec.errors import FondantError

_DATA: Final = "/data/{pipeline}/{step}/{key}"

Page = Callable[[Site, Request], Response] | Callable[[Site, Request], Awaitable[Response]]

_PAGES: Final[dict[str, Page]] = {
    "/": overview,
    "/run/{pipeline}/{run}": run,
    "/compare": compare,
    "/history": history,
    _DATA: gallery,
    f"{_DATA}/at/{{number:int}}": at,
    f"{_DATA}/rejects": rejects,
    f"{_DATA}/distributions": distributions,
    f"{_DATA}/review": review,
    f"{_DATA}/bulk": bulk,
    f"{_DATA}/row/{{row:path}}": row_page,
    f"{_DATA}/thumbnail/{{row:path}}": thumbnail,
    f"{_DATA}/image/{{row:path}}": original,
}
_WRITES: Final[dict[str, Page]] = {
    "/undo": undo,
    f"{_DATA}/edits": edits,
    f"{_DATA}/bulk": apply_bulk,
}


def make_app(site: Site, token: str, names: Collection[str] = ()) -> Starlette:
    """Return the web application of a site.

    Args:
        site: what the pages show.
        token: grants its holder read access, and write access where the site is not read-only.
        names: host names that the server answers to, besides loopback addresses.
    """
    routes: list[Route | Mount] = [
        Route(path, partial(page, site), methods=["GET"]) for path, page in _PAGES.items()
    ]
    routes += [Route(path, partial(page, site), methods=["POST"]) for path, page in _WRITES.items()]
    routes.append(Mount("/static", StaticFiles(directory=HERE / "static")))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, names=names)],
        exception_handlers={
            FondantError: partial(_told, site),
            HTTPException: partial(_told, site),
        },
    )


def _told(site: Site, _request: Request, error: Exception) -> Response:
    """Return the error page."""
    if isinstance(error, HTTPException):
        return site.page("error.html", {"problem": error.detail}, error.status_code)
    return site.page("error.html", {"problem": str(error)}, 400)
