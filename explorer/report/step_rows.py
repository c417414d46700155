"""What became of the rows, step by step."""

from dataclasses import dataclass

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import ReasonCounts, count_reasons


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


def step_rows(manifest: Manifest) -> StepRows:
    """Return what became of the rows that a step was given."""
    lost = count_reasons(manifest.rejects_location)
    return StepRows(manifest.step_id, manifest.rows_in, manifest.rows, lost, manifest.seconds)
