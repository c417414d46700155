"""What all pages share: datasets, edits, images and templates."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from explorer.editing import Editing
from explorer.nearest import Nearest, Ranking, text_model, vector_field
from explorer.pictures import Pictures
from explorer.place import Place, dataset_address, names_of, row_address, run_address
from explorer.tables import Table, Tables
from explorer.templating import environment
from explorer.views import Query, View, plan
from image_toolkit.edits.cells import Cell


class Site:
    """The explorer of one base path."""

    def __init__(
        self, place: Place, who: str, *, read_only: bool = False, clip_model: str | None = None
    ) -> None:
        self.place = place
        self.who = who
        self.tables = Tables()
        self.pictures = Pictures()
        self.nearest = Nearest(clip_model)
        self.editing = Editing(place.base_path, self.tables, who, read_only=read_only)
        self._templates = environment(
            site=self,
            dataset_address=dataset_address,
            names_of=names_of,
            row_address=row_address,
            run_address=run_address,
            text_model=text_model,
            vector_field=vector_field,
        )

    def table(self, request: Request) -> Table:
        """Return the dataset that an address names, with the newest edits.

        Raises:
            FondantError: there is none, or it cannot be read.
        """
        names = request.path_params
        manifest = self.place.dataset(names["pipeline"], names["step"], names["key"])
        table = self.tables.open(manifest)
        self.editing.refresh()
        return table

    def query(self, table: Table, view: View) -> Query:
        """Return the SQL of a view.

        Raises:
            FondantError: the view is invalid.
        """
        return plan(self.tables, table, view, self.ranking(table, view))

    def ranking(self, table: Table, view: View) -> Ranking:
        """Return the ranking of rows by their vectors, if the view sorts by it; otherwise empty."""
        if view.near:
            return self.nearest.to_row(table.manifest, view.near)
        return self.nearest.to_text(table.manifest, view.like) if view.like else {}

    def with_cells(
        self, rows: list[dict[str, Any]]
    ) -> list[tuple[dict[str, Any], dict[str, Cell]]]:
        """Return rows, each with its edited cells."""
        return list(zip(rows, self.editing.of_rows(rows), strict=True))

    def page(self, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """Return a rendered page."""
        return HTMLResponse(self.text(template, context), status)

    def text(self, template: str, context: Mapping[str, Any]) -> str:
        """Return a rendered template."""
        return self._templates.get_template(template).render(**context)
