"""The supported captioners, by family."""

from collections.abc import Callable
from typing import Any, Final

from image_toolkit.models.captioning.decoding.blip import blip
from image_toolkit.models.captioning.decoding.family import Family
from image_toolkit.models.captioning.decoding.florence import florence

_FAMILIES: Final[dict[str, Callable[[Any], Family]]] = {"blip": blip, "florence2": florence}


def family_of(model: Any) -> Family | None:
    """Return the parts of a captioner; None if its family is not supported."""
    make = _FAMILIES.get(model.config.model_type)
    return None if make is None else make(model)
