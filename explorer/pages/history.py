"""Who changed what, and when."""

from collections.abc import Callable
from functools import cache
from itertools import groupby
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from explorer.place import row_address
from explorer.site import Site
from explorer.views import number_of
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError
from image_toolkit.edits.edit import Edit

_ACTIONS: Final = 100


def history(site: Site, request: Request) -> Response:
    """Return all actions, newest first."""
    site.editing.refresh()
    edits = site.editing.history()
    actions = [list(group) for _, group in groupby(edits, key=lambda edit: (edit.action, edit.by))]
    undone = {edit.undoes for edit in edits if edit.undoes}
    page = max(number_of(request.query_params, "page", 1), 1)
    shown = actions[(page - 1) * _ACTIONS : page * _ACTIONS]
    read = cache(Manifest.read)  # consecutive actions are often of the same dataset
    context = {
        "actions": [(group, _address(site, group[0], read)) for group in shown],
        "undone": undone,
        "total": len(actions),
        "number": page,
        "pages": -(-len(actions) // _ACTIONS),
    }
    return site.page("history.html", context)


def _address(site: Site, edit: Edit, read: Callable[[str], Manifest]) -> str:
    """Return the address of an edit's row; empty if the row no longer exists."""
    if not edit.dataset.startswith(f"{site.place.base_path}/"):
        return ""
    try:
        return row_address(read(edit.dataset), edit.row)
    except FondantError:
        return ""
