"""Estimating the cost of a larger run from the rates of a finished one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import WRITTEN, Checkpoint, list_checkpoints
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.pipeline.find_run import ELSEWHERE, Run
from fondant_spec.pipeline.run_history import aligned
from fondant_spec.plain_words import duration
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS

_ROWS: Final[int] = EXECUTOR_ARGUMENTS["rows_per_partition"].default
_HEAD = ("step", "rows in", "rows out", "rows/s a worker", "worker hours", "time", "GB", "requests")
_FILES: Final = 3
"""Files that a partition produces at most: the rows, the rejects and the checkpoint."""

_ASSUMED: Final = """\
Assumed: the rates of that run, on the same kind of machine; {workers} workers share each step, but
a load and a write are one stream; the same share of rows is lost. Not counted: loading models, and
waiting for machines. Requests are those to a store, if the base path lies on one, in partitions of
{partition:,} rows; a step that fetches makes at least one more for each row in."""

_ENOUGH: Final = 1000
_FEW_ROWS: Final = "That run was small: what each step needs to start weighs in its rates.\n"


@dataclass(frozen=True)
class StepCost:
    """The cost of a step: `worker_seconds` of work on partitions, `bytes` in its folder.

    `spreads` says whether several workers can share it; a load and a write are a single stream.
    `reads` is the number of files that it opens per partition.
    """

    step: str
    rows_in: float
    rows: float
    worker_seconds: float
    bytes: float
    reads: int
    spreads: bool

    def times(self, factor: float) -> "StepCost":
        """Return the cost for `factor` times the rows."""
        return StepCost(
            step=self.step,
            rows_in=self.rows_in * factor,
            rows=self.rows * factor,
            worker_seconds=self.worker_seconds * factor,
            bytes=self.bytes * factor,
            reads=self.reads,
            spreads=self.spreads,
        )

    def seconds(self, workers: int) -> float:
        """Return the wall-clock time with a number of workers."""
        return self.worker_seconds / (workers if self.spreads else 1)

    @property
    def rate(self) -> float:
        """Rows per second and worker."""
        return self.rows_in / self.worker_seconds if self.worker_seconds else math.inf

    @property
    def requests(self) -> int:
        """Requests to the store, if the base path is on one."""
        return math.ceil(self.rows_in / _ROWS) * (_FILES + self.reads)


def measured(base_path: str, run: Run) -> list[StepCost]:
    """Return the costs of the steps of a finished run.

    Raises:
        InvalidArgumentError: a step has no result, or the last one has no rows.
    """
    folder = PipelineFolder.of(base_path, run.pipeline)
    places = [folder.step(step, key) for step, key in run.keys.items()]
    missing = [step for step, place in zip(run.keys, places, strict=True)
               if not storage.exists(place.manifest)]  # fmt: skip
    if missing:
        msg = f"run {run.id}: {', '.join(missing)} has no result; name a run that succeeded."
        raise InvalidArgumentError(msg)
    costs = [_cost(place) for place in places]
    read = {step for steps in run.record.get("after", {}).values() for step in steps}
    ends = [step for step in run.keys if step not in read]
    if len(ends) > 1 and run.state == ELSEWHERE:
        msg = f"run {run.id}: {' and '.join(ends)} are both its last step; name another run."
        raise InvalidArgumentError(msg)
    if not costs[-1].rows:
        msg = f"run {run.id}: no row came out of {costs[-1].step}; name a run in which some did."
        raise InvalidArgumentError(msg)
    return costs


def describe_estimate(run: Run, costs: Sequence[StepCost], rows: int, workers: int) -> str:
    """Format the cost of a run that ends with `rows` rows as a table, with the assumptions made."""
    factor = rows / costs[-1].rows
    scaled = [cost.times(factor) for cost in costs]
    hours = sum(cost.worker_seconds for cost in scaled) / 3600
    time = sum(cost.seconds(workers) for cost in scaled)
    total = ("all", "", "", "", f"{hours:,.1f}", duration(time),
             f"{sum(c.bytes for c in scaled) / 1e9:,.1f}",
             f"{sum(c.requests for c in scaled):,}")  # fmt: skip
    table = aligned(_HEAD, [*(_row(cost, workers) for cost in scaled), total], {1, 2, 3, 4, 6, 7})
    few = _FEW_ROWS if costs[-1].rows < _ENOUGH else ""
    made = f"as run {run.id} of {run.pipeline} made {costs[-1].rows:,.0f}"
    assumed = _ASSUMED.format(workers=workers, partition=_ROWS)
    return f"{rows:,} rows at the end, {made}\n{table}\n{few}{assumed}"


def _cost(place: StepFolder) -> StepCost:
    manifest = Manifest.read(place.manifest)
    checkpoints = list_checkpoints(place.checkpoints)
    fs, path = storage.filesystem(place.location)
    return StepCost(
        step=manifest.step_id,
        rows_in=manifest.rows_in,
        rows=manifest.rows,
        worker_seconds=_worker_seconds(manifest, checkpoints),
        bytes=float(fs.du(path)),
        reads=len({field.location for field in manifest.fields.values()}),
        spreads=bool(manifest.inputs) and not any(c.name == WRITTEN for c in checkpoints),
    )


def _worker_seconds(manifest: Manifest, checkpoints: Sequence[Checkpoint]) -> float:
    """Return the work in a step, as if it had run without interruption."""
    seconds = sum(one.work.seconds for one in checkpoints)
    rows = sum(one.rows_in for one in checkpoints)
    done = rows - sum(one.work.before for one in checkpoints)
    return seconds * rows / done if seconds and done else manifest.seconds


def _row(cost: StepCost, workers: int) -> tuple[str, ...]:
    return (
        cost.step,
        f"{cost.rows_in:,.0f}",
        f"{cost.rows:,.0f}",
        f"{cost.rate:,.1f}",
        f"{cost.worker_seconds / 3600:,.1f}",
        duration(cost.seconds(workers)),
        f"{cost.bytes / 1e9:,.1f}",
        f"{cost.requests:,}",
    )
