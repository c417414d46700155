"""Which files of a dataset are read: regular ones below a folder, and where the user says so.

`FONDANT_TRUSTED_PATHS` lists folders and URLs, separated by commas, that datasets may reach beside
their own.
"""

import os
import stat
from typing import Final

TRUSTED: Final = "FONDANT_TRUSTED_PATHS"


def trusted_places() -> list[str]:
    """Return the places that the user lists, as they are written."""
    return [place.strip() for place in os.environ.get(TRUSTED, "").split(",") if place.strip()]


def is_below(place: str, root: str) -> bool:
    """Return whether a place lies below another one, or is it; links are followed."""
    if "://" in root:
        inside = place == root or place.startswith(f"{root.rstrip('/')}/")
        return inside and ".." not in place.split("/")
    if not place.startswith("/") or "\0" in place:
        return False
    real, top = os.path.realpath(place), os.path.realpath(os.path.expanduser(root))  # noqa: PTH111
    return real == top or real.startswith(f"{top.rstrip('/')}/")


def why_not_read(path: str) -> str | None:
    """Return why a local file is not read, or None: a device or pipe, or a link out of its folder.

    One that is not there is left to whoever opens it.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - there may be many
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "is a device or a pipe, and not read"
    if not os.path.islink(path):  # noqa: PTH114
        return None
    roots = (os.path.dirname(path), *trusted_places())  # noqa: PTH120
    if any(is_below(path, root) for root in roots):
        return None
    return (
        "is a link that leads out of its folder, and not read. If you trust who made this dataset, "
        f"name where it leads in {TRUSTED}, and try again"
    )
