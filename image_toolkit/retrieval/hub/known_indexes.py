"""Public indexes with a short name, and what is known of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fondant_spec.errors import InvalidArgumentError, did_you_mean
from image_toolkit.retrieval.hub.index_reference import IndexReference, on_hub


@dataclass(frozen=True)
class KnownIndex:
    """A public index: its location, the CLIP model of its vectors, and its provenance."""

    location: str
    model_id: str
    pedigree: str


KNOWN_INDEXES: Final = {
    "datacomp-small": KnownIndex(
        location="hf://datasets/fondant-ai/datacomp-small-clip",
        model_id="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        pedigree=(
            "9.25 million images: what could be downloaded of DataComp-12.8M (URLs of Common "
            "Crawl) in early 2024. Built by Fondant's authors with autofaiss; URLs alone, without "
            "alt texts or scores for unsafe content."
        ),
    ),
}
"""By short name. To add one, add an entry here."""


def full_location(index: str) -> str:
    """Return the location for a short name; any other location is returned unchanged.

    Raises:
        InvalidArgumentError: it resembles a short name, and does not exist on this machine.
    """
    if index in KNOWN_INDEXES:
        return KNOWN_INDEXES[index].location
    hint = did_you_mean(index, [*KNOWN_INDEXES])
    if hint != "." and not Path(index).exists():
        msg = f"index: there is no {index!r} here, and no public index of that name{hint}"
        raise InvalidArgumentError(msg)
    return index


def known_model(index: str) -> str | None:
    """Return the CLIP model of a public index, by short name or location; None for others."""
    location = full_location(index)
    if not on_hub(location):
        return None
    reference = IndexReference.parse(location)
    for known in KNOWN_INDEXES.values():
        other = IndexReference.parse(known.location)
        if (other.repository, other.folder) == (reference.repository, reference.folder):
            return known.model_id
    return None
