"""The rows that a step rejected: by reason and by host, with their images where there are any."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from explorer.pictures import IMAGE
from explorer.rejects import rejects_table
from explorer.site import Site
from explorer.views import number_of
from fondant_spec.dataset.manifest import Manifest

_PAGE: Final = 50
_HOSTS: Final = 20


def rejects(site: Site, request: Request) -> Response:
    """Return a page of the rejects, filtered by reason and host if the address names them."""
    table = site.table(request)
    manifest = table.manifest
    name = site.tables.keep("rejects", manifest, lambda: rejects_table(manifest))
    asked = {key: request.query_params.get(key, "") for key in ("reason", "host")}
    where = " AND ".join(["true", *(f"{key} = ?" for key in asked if asked[key])])
    values = [value for value in asked.values() if value]
    page = max(number_of(request.query_params, "page", 1), 1)
    total = site.tables.rows(f"SELECT count(*) AS n FROM {name} WHERE {where}", values)[0]["n"]
    rows = site.tables.rows(
        f"SELECT * FROM {name} WHERE {where} ORDER BY id LIMIT {_PAGE} OFFSET ?",
        [*values, (page - 1) * _PAGE],
    )
    context = {
        "table": table,
        "tab": "rejects",
        "asked": asked,
        "number": page,
        "total": total,
        "pages": -(-total // _PAGE),
        "rows": [(row, _origin(row)) for row in rows],
        "reasons": _counts(site, name, "reason", "filtered"),
        "hosts": _counts(site, name, "host")[:_HOSTS],
    }
    return site.page("rejects.html", context)


def _counts(site: Site, name: str, column: str, *others: str) -> list[dict[str, Any]]:
    """Return the number of rejects for each value of a column, most frequent first."""
    columns = ", ".join([f"{column} AS value", *others])
    sql = (
        f"SELECT {columns}, count(*) AS n FROM {name} WHERE {column} IS NOT NULL "
        "GROUP BY ALL ORDER BY n DESC, value"
    )
    return site.tables.rows(sql)


def _origin(row: dict[str, Any]) -> Manifest | None:
    """Return the dataset with a reject's image, if it had one."""
    if not row["input"]:
        return None
    manifest = Manifest.read(row["input"])
    return manifest if IMAGE in manifest.fields else None
