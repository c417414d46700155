"""Two datasets side by side: each image with both captions and all numbers."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from explorer.overlay import quoted
from explorer.site import Site
from explorer.tables import KEY, Table
from explorer.views import number_of
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.edits.edit import CAPTION

_PAGE: Final = 30


def compare(site: Site, request: Request) -> Response:
    """Return the images that two datasets share, differing ones first if asked for."""
    one, other = (_table(site, request.query_params.get(name, "")) for name in ("a", "b"))
    only_different = request.query_params.get("all") != "1"
    page = max(number_of(request.query_params, "page", 1), 1)
    shared = [name for name in one.numbers if name in other.numbers and name in one.written]
    captions = one.has_captions and other.has_captions
    source = _joined(one, other, shared, captions=captions)
    different = _difference(shared, captions=captions) if only_different else "true"
    counted = site.tables.rows(
        f"SELECT count(*) FILTER (a_id IS NOT NULL AND b_id IS NOT NULL) AS both, "
        f"count(*) FILTER (b_id IS NULL) AS only_a, count(*) FILTER (a_id IS NULL) AS only_b, "
        f"count(*) FILTER (a_id IS NOT NULL AND b_id IS NOT NULL AND {different}) AS shown "
        f"FROM {source}"
    )[0]
    rows = site.tables.rows(
        f"SELECT * FROM {source} WHERE a_id IS NOT NULL AND b_id IS NOT NULL AND {different} "
        f"ORDER BY a_id LIMIT {_PAGE} OFFSET ?",
        [(page - 1) * _PAGE],
    )
    context = {
        "one": one,
        "other": other,
        "only_different": only_different,
        "captions": captions,
        "shared": shared,
        "counted": counted,
        "rows": rows,
        "number": page,
        "pages": -(-counted["shown"] // _PAGE),
        "asked": {"a": request.query_params["a"], "b": request.query_params["b"]},
    }
    return site.page("compare.html", context)


def _table(site: Site, name: str) -> Table:
    parts = name.split("/")
    if len(parts) != 3:  # noqa: PLR2004 - pipeline, step and key
        msg = f"name two datasets, as pipeline/step/key, not {name!r}."
        raise InvalidArgumentError(msg)
    return site.tables.open(site.place.dataset(*parts))


def _joined(one: Table, other: Table, shared: list[str], *, captions: bool) -> str:
    """Return the SQL for the images of either dataset, each once, as the steps wrote them."""
    columns = ["id", *([CAPTION] if captions else []), *shared]

    def side(table: Table, name: str) -> str:
        own = ", ".join(f"{quoted(c)} AS {quoted(f'{name}_{c}')}" for c in columns)
        key = quoted(KEY)
        return (
            f"(SELECT DISTINCT ON ({key}) {key}, {own} FROM {table.rows} "
            f"WHERE {key} IS NOT NULL ORDER BY {key}, id)"
        )

    return f"({side(one, 'a')} FULL JOIN {side(other, 'b')} USING ({quoted(KEY)}))"


def _difference(shared: list[str], *, captions: bool) -> str:
    names = [*([CAPTION] if captions else []), *shared]
    parts = [f"{quoted(f'a_{n}')} IS DISTINCT FROM {quoted(f'b_{n}')}" for n in names]
    return f"({' OR '.join(parts) or 'false'})"
