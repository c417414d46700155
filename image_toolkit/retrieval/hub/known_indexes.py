"""Public indexes that have a short name, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from fondant_spec.errors import InvalidArgumentError, did_you_mean
from image_toolkit.retrieval.hub.index_reference import IndexReference, on_hub

_TABLE: Final = Path(__file__).with_name("known_indexes.yaml")


@dataclass(frozen=True)
class KnownIndex:
    """A public index: where it lies, the CLIP model of its vectors, and where it comes from."""

    name: str
    location: str
    model_id: str
    pedigree: str


@cache
def known_indexes() -> Mapping[str, KnownIndex]:
    """Return the public indexes by their short names."""
    table = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return {name: KnownIndex(name, **entry) for name, entry in table.items()}


def full_location(index: str) -> str:
    """Return the location that a short name stands for; any other location as it is.

    Raises:
        InvalidArgumentError: it is nearly a short name, and nothing on this machine.
    """
    if index in known_indexes():
        return known_indexes()[index].location
    hint = did_you_mean(index, [*known_indexes()])
    if hint != "." and not Path(index).exists():
        msg = f"index: there is no {index!r} here, and no public index of that name{hint}"
        raise InvalidArgumentError(msg)
    return index


def known_model(index: str) -> str | None:
    """Return the CLIP model of a public index, by its short name or location; None of others."""
    location = full_location(index)
    if not on_hub(location):
        return None
    reference = IndexReference.parse(location)
    for known in known_indexes().values():
        other = IndexReference.parse(known.location)
        if (other.repository, other.folder) == (reference.repository, reference.folder):
            return known.model_id
    return None
