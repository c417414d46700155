"""Finding a run by its id, or the latest one of a pipeline by the pipeline's name."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.lease_owner import Owner
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.pipeline.run_history import read_runs

ELSEWHERE = "elsewhere"
"""The state of a run that was started elsewhere and has no record here."""

RUNNING = "running"
KILLED = "killed"
"""The state of a run whose process ended without recording how."""


@dataclass(frozen=True)
class Run:
    """A run of a pipeline.

    `record` is what the run recorded of itself; if it was started elsewhere, as on Kubeflow, it
    holds the results that its steps refer to. `keys` are the cache keys of the results by step, in
    execution order: those that the steps recorded, or else those that were planned.
    """

    pipeline: str
    id: str
    started: str
    state: str
    record: Mapping[str, Any]
    keys: Mapping[str, str]


def list_pipelines(base_path: str) -> list[str]:
    """Return the names of the pipelines that have runs below a base path."""
    names = storage.folders(base_path)
    return [name for name in names if PipelineFolder.of(base_path, name).run_ids()]


def list_runs(base_path: str, pipeline: str) -> list[Run]:
    """Return the runs of a pipeline, oldest first, including those started elsewhere.

    Raises:
        InvalidDatasetError: a record cannot be read.
    """
    folder = PipelineFolder.of(base_path, pipeline)
    runs = [_recorded(folder, pipeline, record) for record in read_runs(base_path, pipeline)]
    known = {run.id for run in runs}
    return sorted([*runs, *_elsewhere(base_path, pipeline, known)], key=lambda run: run.started)


def find_run(base_path: str, name: str | None = None) -> Run:
    """Return a run by its id, the latest of a pipeline by its name, or the latest of all.

    Raises:
        InvalidArgumentError: there is none; the message lists the existing ones.
        InvalidDatasetError: a record cannot be read.
    """
    pipelines = list_pipelines(base_path)
    runs = [run for pipeline in pipelines for run in list_runs(base_path, pipeline)]
    found = [run for run in runs if name in (None, run.pipeline, run.id)]
    if found:
        return max(found, key=lambda run: run.started)
    if not runs:
        msg = f"{base_path} (BASE_PATH, --base-path) holds no runs."
        raise InvalidArgumentError(msg)
    hint = did_you_mean(str(name), [*pipelines, *(run.id for run in runs)])
    msg = f"{base_path} holds no run {name!r}{hint} `fondant-spec runs` lists all."
    raise InvalidArgumentError(msg)


def _recorded(folder: PipelineFolder, pipeline: str, record: Mapping[str, Any]) -> Run:
    run_id, state = record["run_id"], _state(record)
    done = {step["step_id"]: step["cache_key"] for step in record.get("steps", ())}
    noted = folder.run(run_id).references()
    keys = {step: done.get(step, noted.get(step, key)) for step, key in record["planned"].items()}
    return Run(pipeline, run_id, str(record["started"]), state, record, keys)


def _state(record: Mapping[str, Any]) -> str:
    """Return how a run ended, or that it is running; one that was killed could not record it."""
    state = str(record.get("state"))
    try:
        gone = Owner(**record["owner"]).is_gone()
    except (KeyError, TypeError, ValueError):  # a record of an earlier version
        gone = False
    return KILLED if state == RUNNING and gone else state


def _elsewhere(base_path: str, pipeline: str, known: set[str]) -> Iterator[Run]:
    folder = PipelineFolder.of(base_path, pipeline)
    for run_id in folder.run_ids():
        if run_id not in known and (keys := folder.run(run_id).references()):
            first = min(_modified(folder.run(run_id).reference(step)) for step in keys)
            started = first.astimezone(UTC).isoformat(timespec="microseconds")
            after = {step: _inputs(folder.step(step, key), keys) for step, key in keys.items()}
            ordered = {step: keys[step] for step in TopologicalSorter(after).static_order()}
            record = {"planned": ordered, "after": after}
            yield Run(pipeline, run_id, started, ELSEWHERE, record, ordered)


def _inputs(place: StepFolder, steps: Collection[str]) -> list[str]:
    """Return which of some steps a step has read; empty if it has no result yet."""
    if not storage.exists(place.manifest):
        return []
    places = (StepFolder.of_manifest(one.location) for one in Manifest.read(place.manifest).inputs)
    return [one.step_id for one in places if one.step_id in steps]


def _modified(file: str) -> datetime:
    fs, path = storage.filesystem(file)
    moment = fs.modified(path)
    return moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)
