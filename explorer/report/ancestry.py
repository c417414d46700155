"""The datasets that a dataset came from, step by step."""

from dataclasses import dataclass

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import ReasonCounts, count_reasons
from fondant_spec.errors import FondantError


@dataclass(frozen=True)
class Ancestry:
    """A dataset behind those that it came from, each after its own inputs.

    `missing` says which of them cannot be read any more, and why.
    """

    datasets: tuple[Manifest, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class StepRows:
    """What became of the rows that a step was given.

    `lost` has those that failed, and those that it left out, by reason.
    """

    step: str
    rows_in: int
    rows: int
    lost: ReasonCounts
    seconds: float


def ancestry_of(manifest: Manifest) -> Ancestry:
    """Return a dataset with all that it came from."""
    found: dict[str, Manifest] = {}
    missing: dict[str, str] = {}

    def visit(one: Manifest) -> None:
        for source in one.inputs:
            if source.location in found or source.location in missing:
                continue
            try:
                visit(Manifest.read(source.location))
            except FondantError as error:
                missing[source.location] = str(error)
        found[one.location] = one

    visit(manifest)
    return Ancestry(tuple(found.values()), tuple(missing.values()))


def step_rows(manifest: Manifest) -> StepRows:
    """Return what became of the rows that a step was given."""
    lost = count_reasons(manifest.rejects_location)
    return StepRows(manifest.step_id, manifest.rows_in, manifest.rows, lost, manifest.seconds)
