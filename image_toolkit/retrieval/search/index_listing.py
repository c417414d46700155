"""Listings: JSON files that name the folders of several indexes, for `clip-retrieval back`."""

import json
from pathlib import Path
from typing import Any, Final

from fondant_spec.dataset.trusted_places import TRUSTED, is_below, trusted_places
from fondant_spec.errors import InputDataError

INDICES_PATHS: Final = "indices_paths.json"


def is_listing(path: Path) -> bool:
    """Return whether a path is a file that lists indexes by name, for `clip-retrieval back`."""
    return path.suffix == ".json" and path.is_file()


def listed_indexes(listing: Path) -> list[str]:
    """Return the names of the indexes in a listing, in its order.

    Raises:
        InputDataError: it is not a listing.
    """
    return list(_read_listing(listing))


def _read_listing(listing: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(listing.read_bytes())
        return {
            n: {"indice_folder": v} if isinstance(v, str) else dict(v) for n, v in content.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        msg = (
            f'{listing}: must be JSON of the form {{"name": {{"indice_folder": "..."}}}} ({error}).'
        )
        raise InputDataError(msg) from error


def listed_folder(listing: Path, name: str | None) -> tuple[Path, str | None]:
    """Return the folder that a listing gives for an index, and its model.

    Raises:
        InputDataError: there is no such name in it, or its folder is outside the listing's own.
    """
    entries = _read_listing(listing)
    if name is None and len(entries) == 1:
        name = next(iter(entries))
    if name not in entries:
        msg = f"indice_name: {listing} lists {', '.join(map(repr, entries))}, not {name!r}."
        raise InputDataError(msg)
    resolved = listing.absolute().parent / str(entries[name].get("indice_folder", "."))
    # Whoever wrote the listing may not be the one who searches.
    if not any(
        is_below(str(resolved), root)
        for root in (str(listing.absolute().parent), *trusted_places())
    ):
        msg = (
            f"{listing}: the folder of {name!r}, {resolved}, lies outside of the listing's own. "
            f"Name that folder itself as the index, or in {TRUSTED}, if you trust it."
        )
        raise InputDataError(msg)
    if not resolved.exists():
        msg = f"{listing}: the folder of {name!r}, {resolved}, does not exist."
        raise InputDataError(msg)
    return resolved, _model_of(entries[name])


def listed_model(listing: Path, folder: Path) -> str | None:
    """Return the model of `folder` according to a listing in or beside it."""
    entries = _read_listing(listing)
    for entry in entries.values():
        listed = Path(str(entry.get("indice_folder", ".")))
        if (listing.parent / listed).resolve() == folder.resolve() or listed.name == folder.name:
            return _model_of(entry)
    return _model_of(next(iter(entries.values()))) if listing.parent == folder and entries else None


def _model_of(entry: dict[str, Any]) -> str | None:
    model = entry.get("clip_model")
    return None if model is None else str(model)
