"""The template environment; all values of rows are escaped."""

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from explorer import wording

HERE: Final = Path(__file__).parent


def environment(**names: Any) -> Environment:
    """Return a template environment; all templates know `names`."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= wording.FILTERS
    made.globals |= names
    return made
