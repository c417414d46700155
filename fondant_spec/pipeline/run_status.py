"""How far a run is, or how it went: by step, and by partition."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import (
    GATHERED,
    Checkpoint,
    list_checkpoints,
)
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import in_words
from fondant_spec.dataset.resolution import by_root
from fondant_spec.pipeline.run_history import aligned
from fondant_spec.progress import duration

_SLOWEST: Final = 3
"""How many partitions are named as the slowest."""

_HEAD = ("step", "state", "rows in", "rows out", "rejects", "seconds", "rows/s", "")


@dataclass(frozen=True)
class PartitionEvent:
    """What is known of the work on one partition. `rows_in` are the rows that are settled."""

    step: str
    partition: str
    run: str
    worker: str
    started: str
    seconds: float
    rows_in: int
    rows: int
    rejects: Mapping[str, int]

    @classmethod
    def of(cls, step: str, checkpoint: Checkpoint) -> Self:
        """Return what a checkpoint tells."""
        work = checkpoint.work
        return cls(
            step=step,
            partition=checkpoint.name,
            run=checkpoint.run_id,
            worker=work.worker,
            started=work.started,
            seconds=work.seconds,
            rows_in=checkpoint.rows_in,
            rows=checkpoint.rows,
            rejects=checkpoint.rejects,
        )

    @property
    def begin(self) -> datetime:
        """When the work began."""
        return datetime.fromisoformat(self.started)

    @property
    def end(self) -> datetime:
        """When it ended."""
        return self.begin + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class StepStatus:
    """How far a step is.

    `state` is `cached`, `done`, `begun` (partitions are there, no result yet) or `waiting`. `total`
    is how many rows it reads, where that is known. `seconds` are those of the clock, from the first
    partition's begin to the last one's end.
    """

    step: str
    state: str
    rows_in: int = 0
    total: int | None = None
    rows: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    partitions: tuple[PartitionEvent, ...] = field(default=(), repr=False)

    @property
    def rate(self) -> float | None:
        """Rows in a second."""
        return self.rows_in / self.seconds if self.seconds and self.rows_in else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate; None where nobody knows."""
        if self.state != "begun" or not self.rate or self.total is None:
            return None
        return (self.total - self.rows_in) / self.rate

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the partitions have one of their own."""
        content = asdict(self)
        del content["partitions"]
        return content | {"rate": self.rate, "seconds_left": self.seconds_left}


def step_statuses(base_path: str, pipeline: str, run: Mapping[str, Any]) -> list[StepStatus]:
    """Return how far each step of a run is; `run` is its record, or what is known of it."""
    folder = PipelineFolder.of(base_path, pipeline)
    recorded = {step["step_id"]: step for step in run.get("steps", ())}
    keys, after = run["planned"], run.get("after", {})
    manifests: dict[str, Manifest] = {}
    statuses = []
    for step, key in keys.items():
        place = folder.step(step, key)
        inputs = [manifests[name] for name in after.get(step, ()) if name in manifests]
        total = sum(group[0].rows for group in by_root(inputs)) or None
        cached = recorded.get(step, {}).get("cached", False)
        if storage.exists(place.manifest):
            manifests[step] = Manifest.read(place.manifest)
            statuses.append(_ended(step, place, manifests[step], cached=cached))
        else:
            statuses.append(_begun(step, place, total))
    return statuses


def _ended(step: str, place: StepFolder, manifest: Manifest, *, cached: bool) -> StepStatus:
    return StepStatus(
        step=step,
        state="cached" if cached else "done",
        rows_in=manifest.rows_in,
        total=manifest.rows_in,
        rows=manifest.rows,
        rejects=manifest.rejects,
        seconds=manifest.seconds,
        partitions=tuple(_events(step, place)),
    )


def _begun(step: str, place: StepFolder, total: int | None) -> StepStatus:
    events = list(_events(step, place))
    if not events:
        return StepStatus(step, "waiting", total=total)
    rejects: Counter[str] = Counter()
    for event in events:
        rejects.update(event.rejects)
    begin, end = min(e.begin for e in events), max(e.end for e in events)
    return StepStatus(
        step=step,
        state="begun",
        rows_in=sum(event.rows_in for event in events),
        total=total,
        rows=sum(event.rows for event in events),
        rejects=dict(rejects.most_common()),
        seconds=(end - begin).total_seconds(),
        partitions=tuple(events),
    )


def _events(step: str, place: StepFolder) -> Iterator[PartitionEvent]:
    for checkpoint in list_checkpoints(place.checkpoints):
        if checkpoint.name != GATHERED:  # its rows are those of the others
            yield PartitionEvent.of(step, checkpoint)


def describe(title: str, statuses: Sequence[StepStatus]) -> str:
    """Return a table of the steps for a person, and the slowest partitions of each below it."""
    rows = [_row(status) for status in statuses]
    lines = [title, aligned(_HEAD, rows, {2, 3, 5, 6})]
    slow = [f"  {status.step}: {_slowest(status)}" for status in statuses if _worth(status)]
    return "\n".join([*lines, *(["slowest partitions:"] if slow else []), *slow])


def events_lines(statuses: Sequence[StepStatus]) -> str:
    """Return the work on every partition as JSON, a line each."""
    events = [event for status in statuses for event in status.partitions]
    return "\n".join(json.dumps(asdict(event)) for event in events)


def _row(status: StepStatus) -> tuple[str, ...]:
    of_total = f"/{status.total:,}" if status.state == "begun" and status.total else ""
    left = status.seconds_left
    return (
        status.step,
        status.state,
        f"{status.rows_in:,}{of_total}" if status.state != "waiting" else "-",
        f"{status.rows:,}" if status.state != "waiting" else "-",
        in_words(status.rejects) or "-",
        f"{status.seconds:.1f}" if status.seconds else "-",
        f"{status.rate:,.1f}" if status.rate else "-",
        f"{duration(left)} left" if left is not None else "",
    )


def _worth(status: StepStatus) -> bool:
    """Return whether there is anything to choose between."""
    return status.state != "cached" and len(status.partitions) > _SLOWEST


def _slowest(status: StepStatus) -> str:
    slowest = sorted(status.partitions, key=lambda event: -event.seconds)[:_SLOWEST]
    return ", ".join(
        f"{event.partition} {event.seconds:.1f} s ({event.rows_in:,} rows, {event.worker})"
        for event in slowest
    )
