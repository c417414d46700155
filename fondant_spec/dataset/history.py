"""The history of a dataset: all steps before it, read from their manifests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError, InvalidManifestError


@dataclass(frozen=True)
class History:
    """Datasets in topological order: each once, after its own inputs.

    `missing` maps the location of an unreadable dataset to the reason; what precedes it is unknown.
    """

    steps: tuple[Manifest, ...]
    missing: Mapping[str, FondantError]


def history_of(manifest: Manifest) -> History:
    """Return a dataset and everything it was made from, as far as it can be read."""
    walk = _Walk()
    walk.add(manifest)
    return walk.history()


def steps_before(locations: Iterable[str]) -> list[Manifest]:
    """Return the datasets at these manifests and all their ancestors, earliest first.

    Each appears once. One that was removed since, or is out of reach, is left out with its
    ancestors.

    Raises:
        FondantError: it cannot be determined whether a dataset exists.
    """
    walk = _Walk()
    for location in locations:
        walk.visit(location)
    history = walk.history()
    for error in history.missing.values():
        if not isinstance(error, InvalidManifestError):
            raise error
    return list(history.steps)


class _Walk:
    """Walks from datasets to their ancestors, visiting each once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._found: list[Manifest] = []
        self._missing: dict[str, FondantError] = {}

    def visit(self, location: str) -> None:
        """Add the dataset at a manifest, if it can be read, after its ancestors."""
        if location in self._seen:
            return
        try:
            manifest = Manifest.read(location)
        except FondantError as error:
            self._seen.add(location)
            self._missing[location] = error
        else:
            self.add(manifest)

    def add(self, manifest: Manifest) -> None:
        """Add a dataset after its ancestors."""
        self._seen.add(manifest.location)
        for given in manifest.inputs:
            self.visit(given.location)
        self._found.append(manifest)

    def history(self) -> History:
        """Return the datasets visited."""
        return History(tuple(self._found), self._missing)
