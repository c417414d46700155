"""The record of a run: which steps it was made of, and how each one ended.

It lies at <base>/<pipeline>/runs/<run id>/run.json, with the steps' logs beside it. What no run
refers to can be collected as garbage.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.lease_owner import Owner
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidDatasetError
from fondant_spec.pipeline.plan import Plan
from fondant_spec.spec.executor_options import NAME_OF_FOLDER

_FOLDER: Final = re.compile(NAME_OF_FOLDER)

FAILED: Final = "failed"
"""The state of a run that an error ended, and of the step at which it did."""

_TOLD: Final = 3
"""How many reasons of rejects the table of a run names for each step."""


@dataclass(frozen=True)
class StepResult:
    """How a step ended. `seconds` is the time this run spent on it."""

    step_id: str
    manifest: Manifest
    seconds: float
    cached: bool


class RunLog:
    """Writes the record of a run as it goes on."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = PipelineFolder.of(plan.base_path, plan.pipeline_name).run(plan.run_id)
        self._started = _now()
        self._owner = asdict(Owner.of_this_process(plan.run_id))
        self._at: str | None = None
        self.results: list[StepResult] = []
        self._write("running")

    def begin(self, step_id: str) -> None:
        """Note which step the run is at; where it ends there, it is this one that failed."""
        self._at = step_id
        self._write("running")

    def add(self, result: StepResult) -> None:
        """Note a step that is done."""
        self.results.append(result)
        self._at = None
        self._write("running")

    def write_log(self, step_id: str, text: str) -> str:
        """Keep what a step printed, and return where."""
        place = self._folder.log(step_id)
        storage.write_text(place, text)
        return place

    def finish(self, state: str) -> None:
        """Note how the run ended."""
        self._write(state)

    def _write(self, state: str) -> None:
        content: dict[str, Any] = {
            "run_id": self._plan.run_id,
            "pipeline_name": self._plan.pipeline_name,
            "state": state,
            "owner": self._owner,
            "started": self._started,
            "updated": _now(),
            "steps": [
                {
                    "step_id": result.step_id,
                    "cache_key": result.manifest.cache_key,
                    "manifest": result.manifest.location,
                    "rows": result.manifest.rows,
                    "seconds": round(result.seconds, 3),
                    "cached": result.cached,
                }
                for result in self.results
            ],
            "at": self._at,
            "until": self._plan.until,
            "planned": {step.id: step.cache_key for step in self._plan.steps},
            "after": {step.id: list(step.step.after) for step in self._plan.steps},
        }
        storage.write_text(self._folder.record, json.dumps(content, indent=2) + "\n")


@contextmanager
def recorded(plan: Plan) -> Iterator[RunLog]:
    """Keep the record of a run while a `with` statement lasts, however it ends."""
    log = RunLog(plan)
    state = "interrupted"
    try:
        yield log
        state = "succeeded"
    except Exception:
        state = FAILED
        raise
    finally:
        log.finish(state)


def read_runs(base_path: str, pipeline_name: str) -> list[dict[str, Any]]:
    """Return the records of the runs of a pipeline, oldest first.

    A run's `run_id` is the name of its folder, whatever the record says.

    Raises:
        InvalidDatasetError: a record cannot be read.
    """
    folder = PipelineFolder.of(base_path, pipeline_name)
    found = [_read_run(folder.run(run_id).record, run_id) for run_id in folder.run_ids()]
    return sorted(filter(None, found), key=lambda run: str(run["started"]))


def _read_run(file: str, run_id: str) -> dict[str, Any] | None:
    if not storage.exists(file):
        return None
    try:
        run = json.loads(storage.read_text(file))
    except (ValueError, RecursionError):
        run = None
    if not _is_record(run):
        msg = f"{file}: not the record of a run; remove its folder."
        raise InvalidDatasetError(msg)
    return {"steps": [], **run, "run_id": run_id}


def _is_record(run: Any) -> bool:
    """Return whether JSON has what is read of the record of a run; more of it may be missing."""
    return (
        isinstance(run, dict)
        and isinstance(run.get("started"), str)
        and isinstance(run.get("planned"), dict)
        and all(map(_is_folder, (*run["planned"], *run["planned"].values())))
        and isinstance(run.get("after", {}), dict)
        and all(isinstance(names, list) for names in run.get("after", {}).values())
        and all(map(_is_folder, chain.from_iterable(run.get("after", {}).values())))
        and isinstance(run.get("steps", []), list)
        and all(map(_is_step, run.get("steps", [])))
    )


def _is_folder(name: Any) -> bool:
    """Return whether a name is that of a folder, and leads nowhere else."""
    return isinstance(name, str) and bool(_FOLDER.fullmatch(name))


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and all(
        type(step.get(name)) is kind
        for name, kind in (("step_id", str), ("cache_key", str), ("rows", int), ("cached", bool))
    )


def table(results: Sequence[StepResult]) -> str:
    """Return the results as a table for a person: rows, rejects by reason, seconds."""
    rows = [
        (
            result.step_id,
            f"{result.manifest.rows_in:,}",
            f"{result.manifest.rows:,}",
            _most_rejects(result.manifest.rejects),
            f"{result.seconds:.1f}",
            "cached" if result.cached else "",
        )
        for result in results
    ]
    return aligned(("step", "rows in", "rows out", "rejects", "seconds", ""), rows, {1, 2, 4})


def places(artifacts: Sequence[str]) -> list[str]:
    """Return where artifacts are, for a person to look there: their folder, if they share one."""
    folders = {storage.parent(path) for path in artifacts}
    return sorted(folders) if len(folders) < len(artifacts) else list(artifacts)


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int]) -> str:
    """Return rows below their head, in columns; those of `numbers` are set to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(
        [line(head), "  ".join("-" * width for width in widths).rstrip(), *map(line, rows)]
    )


def _most_rejects(rejects: Mapping[str, int]) -> str:
    """Return the most frequent reasons with their numbers, and how many rows the others have."""
    common = Counter(rejects).most_common()
    told = [f"{reason} {count:,}" for reason, count in common[:_TOLD]]
    rest = sum(count for _, count in common[_TOLD:])
    return ", ".join(told + [f"+{rest:,} more"] * (rest > 0)) or "-"


def _now() -> str:
    # Runs are told apart by age, and a run of cached steps takes less than a second.
    return datetime.now(UTC).isoformat(timespec="microseconds")
