"""The steps that a dataset went through, from its manifests back to where it began."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError, InvalidManifestError


@dataclass(frozen=True)
class History:
    """Datasets behind those that they came from: each once, after its own inputs.

    `missing` says why others cannot be read, by location; those before them are not known.
    """

    steps: tuple[Manifest, ...]
    missing: Mapping[str, FondantError]


def history_of(manifest: Manifest) -> History:
    """Return a dataset with all that it came from, as far as that can be read."""
    walk = _Walk()
    walk.add(manifest)
    return walk.history()


def steps_before(locations: Iterable[str]) -> list[Manifest]:
    """Return the datasets at these manifests and all that they were made from, the earliest first.

    Each comes once. What was removed since, or lies out of reach, is left out with all before it.

    Raises:
        FondantError: whether one is there could not be found out.
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
    """Goes back from datasets to where they began, and to none twice."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._found: list[Manifest] = []
        self._missing: dict[str, FondantError] = {}

    def visit(self, location: str) -> None:
        """Add the dataset at a manifest, if it can be read, after those that it was made from."""
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
        """Add a dataset after those that it was made from."""
        self._seen.add(manifest.location)
        for given in manifest.inputs:
            self.visit(given.location)
        self._found.append(manifest)

    def history(self) -> History:
        """Return what was found."""
        return History(tuple(self._found), self._missing)
