"""How far a run is, or how it went: by step, and by partition."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import (
    GATHERED,
    Checkpoint,
    Work,
    list_checkpoints,
)
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.lease import is_held
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import count_reasons, in_words
from fondant_spec.dataset.resolution import by_root
from fondant_spec.pipeline.find_run import Run
from fondant_spec.pipeline.run_history import FAILED, aligned
from fondant_spec.plain_words import duration

_SLOWEST: Final = 3
"""How many partitions are named as the slowest."""

_HEAD = ("step", "state", "rows in", "rows out", "rejects", "seconds", "rows/s", "")


@dataclass(frozen=True)
class PartitionEvent:
    """What is known of the work on one partition.

    `rows_in` are the rows that are settled, `before` those that an earlier attempt had settled.
    """

    step: str
    partition: str
    run: str
    worker: str
    started: str
    seconds: float
    before: int
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
            before=work.before,
            rows_in=checkpoint.rows_in,
            rows=checkpoint.rows,
            rejects=checkpoint.rejects,
        )

    @property
    def work(self) -> Work:
        """When the work began and ended, and who did it."""
        return Work(self.started, self.seconds, self.worker, self.before)

    @property
    def done(self) -> int:
        """How many rows it settled."""
        return self.rows_in - self.before


@dataclass(frozen=True)
class StepStatus:
    """How far a step is.

    `state` is `cached`, `done`, `running`, `begun` (partitions are there, but nobody is at it) or
    `waiting`; of the step at which a run ended, `failed`, `interrupted` or `killed`. `total` is how
    many rows it reads, where that is known. `seconds` are those of the clock that the run
    took which made the result, and `rate` the rows that it settled in one of them.
    """

    step: str
    state: str
    rows_in: int = 0
    total: int | None = None
    rows: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    rate: float | None = None
    partitions: tuple[PartitionEvent, ...] = field(default=(), repr=False)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate; None where nobody knows."""
        if self.state != "running" or not self.rate or self.total is None:
            return None
        return (self.total - self.rows_in) / self.rate

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the partitions have one of their own."""
        content = asdict(self)
        del content["partitions"]
        return content | {"seconds_left": self.seconds_left}


def step_statuses(base_path: str, run: Run) -> list[StepStatus]:
    """Return how far each step of a run is."""
    folder = PipelineFolder.of(base_path, run.pipeline)
    recorded = {step["step_id"]: step for step in run.record.get("steps", ())}
    after = run.record.get("after", {})
    manifests: dict[str, Manifest] = {}
    statuses = []
    for step, key in run.keys.items():
        place = folder.step(step, key)
        inputs = [manifests[name] for name in after.get(step, ()) if name in manifests]
        total = sum(group[0].rows for group in by_root(inputs)) or None
        cached = recorded.get(step, {}).get("cached", False)
        if storage.exists(place.manifest):
            manifests[step] = Manifest.read(place.manifest)
            statuses.append(_ended(step, place, manifests[step], cached=cached))
        else:
            ended = run.state if step == run.record.get("at") else None
            statuses.append(_begun(step, place, total, ended))
    return statuses


def _ended(step: str, place: StepFolder, manifest: Manifest, *, cached: bool) -> StepStatus:
    events = tuple(_events(step, place))
    settled = sum(event.done for event in events if event.run == manifest.run_id)
    return StepStatus(
        step=step,
        state="cached" if cached else "done",
        rows_in=manifest.rows_in,
        total=manifest.rows_in,
        rows=manifest.rows,
        rejects=manifest.rejects,
        seconds=manifest.seconds,
        rate=_rate(settled, manifest.seconds),
        partitions=events,
    )


def _begun(step: str, place: StepFolder, total: int | None, ended: str | None) -> StepStatus:
    """Return how far a step without a result is; `ended` is the state of a run that is at it."""
    events = list(_events(step, place))
    state = "running" if is_held(place) else ended or ("begun" if events else "waiting")
    rejects: Counter[str] = Counter()
    if state == FAILED:  # partitions with too many have no checkpoint
        counts = count_reasons(place.rejects)
        rejects.update({**counts.failed, **counts.filtered})
    else:
        for event in events:
            rejects.update(event.rejects)
    lost = dict(rejects.most_common())
    if not events:
        return StepStatus(step, state, total=total, rejects=lost)
    newest = max(events, key=lambda event: event.work.end).run
    ours = [event for event in events if event.run == newest]
    begin, end = min(event.work.begin for event in ours), max(event.work.end for event in ours)
    seconds = (end - begin).total_seconds()
    return StepStatus(
        step=step,
        state=state,
        rows_in=sum(event.rows_in for event in events),
        total=total,
        rows=sum(event.rows for event in events),
        rejects=lost,
        seconds=seconds,
        rate=_rate(sum(event.done for event in ours), seconds),
        partitions=tuple(events),
    )


def _rate(rows: int, seconds: float) -> float | None:
    return rows / seconds if rows and seconds else None


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
    unfinished = status.state not in ("cached", "done")
    of_total = f"/{status.total:,}" if unfinished and status.total else ""
    known = status.partitions or status.state in ("cached", "done", "running")
    left = status.seconds_left
    return (
        status.step,
        status.state,
        f"{status.rows_in:,}{of_total}" if known else "-",
        f"{status.rows:,}" if known else "-",
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
