"""Confinement of a dataset to its base path, and to further places that the user trusts.

A dataset may come from anyone, and its manifest may name any place: a private file, a device, an
internal host. So a place is read only if it is below the base path of the manifest (which is
recognised by the record of runs in it), or else in the manifest's own folder.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.trusted_places import TRUSTED, is_below, trusted_places


@dataclass(frozen=True)
class Reach:
    """The folders and URLs to which a dataset is confined; the first is its base path."""

    roots: tuple[str, ...]

    @classmethod
    def of(cls, manifest: str, written: Iterable[str] = ()) -> Self:
        """Return the reach of a manifest; `written` are places that the user trusts."""
        folder = StepFolder.of_manifest(manifest).location
        pipeline = storage.parent(storage.parent(folder))
        base = storage.parent(pipeline)
        known = base.strip("/:") and storage.exists(PipelineFolder(pipeline).runs)
        own = (base, pipeline, folder) if known else (folder,)
        return cls((*own, *trusted_places(), *map(storage.normalize, written)))

    def covers(self, place: str) -> bool:
        """Return whether a place is below one of the roots, after resolving links."""
        return any(is_below(place, root) for root in self.roots)

    def refusal(self, place: str) -> str:
        """Return the error message for a place that is not covered."""
        return (
            f"{place} lies outside of {self.roots[0]}, and is not read. If you trust who made this "
            f"dataset, name that place in {TRUSTED}, and try again."
        )
