"""Rows kept and lost, step by step."""

from dataclasses import dataclass

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import ReasonCounts, count_reasons


@dataclass(frozen=True)
class StepRows:
    """The outcome of a step's input rows.

    `lost` counts rows that failed or were filtered out, by reason.
    """

    step: str
    rows_in: int
    rows: int
    lost: ReasonCounts
    seconds: float


def step_rows(manifest: Manifest) -> StepRows:
    """Return the outcome of a step's input rows."""
    lost = count_reasons(manifest.rejects_location)
    return StepRows(manifest.step_id, manifest.rows_in, manifest.rows, lost, manifest.seconds)
