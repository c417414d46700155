"""The review queue: one row at a time, and how often reviewers agree with the captions."""

from starlette.requests import Request
from starlette.responses import Response

from explorer.agreement import Agreement
from explorer.queues import KINDS, RANDOM, Queue
from explorer.site import Site
from explorer.tables import Table
from explorer.views import View, number_of, rows_by_id


def review(site: Site, request: Request) -> Response:
    """Return a row of the queue: the one in the address, or the first not yet reviewed."""
    table = site.table(request)
    queue = Queue.of(request.query_params, table)
    source = queue.source(site.tables, table)
    sql, values = queue.sql(source)
    # Sampled from the rows as written, so that a reviewed row stays in the sample.
    ids = [row["id"] for row in site.tables.rows(sql, values)]
    done = _reviewed(site, table, ids)
    left = [number for number, row_id in enumerate(ids) if row_id not in done]
    number = number_of(request.query_params, "n", left[0] if left else 0)
    number = min(number, max(len(ids) - 1, 0))
    shown = site.with_cells(rows_by_id(site.tables, table, ids[number : number + 1]))
    after = [one for one in left if one > number] or [one for one in left if one != number]
    context = {
        "table": table,
        "tab": "review",
        "view": View(),
        "queue": queue,
        "kinds": KINDS,
        "shown": shown,
        "number": number,
        "total": len(ids),
        "left": len(left),
        "next": after[0] if after else -1,
        "agreement": Agreement(sum(done.values()), len(done)),
        "is_sample": queue.kind == RANDOM,
        "rows": site.tables.rows(f"SELECT count(*) AS n FROM {source}")[0]["n"],
    }
    return site.page("review.html", context)


def _reviewed(site: Site, table: Table, ids: list[str]) -> dict[str, bool]:
    """Return which rows have been reviewed, and whether they were accepted unchanged."""
    rows = rows_by_id(site.tables, table, ids)
    return {
        row["id"]: bool(row["accepted"] and not row["caption_edited"] and not row["dropped"])
        for row in rows
        if row["accepted"] or row["caption_edited"] or row["dropped"]
    }
