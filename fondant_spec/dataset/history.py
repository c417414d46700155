"""The steps that a dataset went through, from its manifests back to where it began."""

from collections.abc import Iterable

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidManifestError


def steps_before(locations: Iterable[str]) -> list[Manifest]:
    """Return the datasets at these manifests and all that they were made from, the earliest first.

    Each comes once. What was removed since, or lies out of reach, is left out with all before it.
    """
    found: dict[str, Manifest] = {}
    for location in locations:
        _add(location, found)
    return list(found.values())


def _add(location: str, found: dict[str, Manifest]) -> None:
    """Add a dataset, after those that it was made from."""
    if location in found:
        return
    try:
        manifest = Manifest.read(location)
    except InvalidManifestError:
        return
    for input_ in manifest.inputs:
        _add(input_.location, found)
    found[location] = manifest
