"""Telling a person which runs there were below a base path."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.pipeline.run_history import aligned, read_runs

_HEAD = ("run", "when (UTC)", "state", "steps", "rows")


def list_runs(base_path: str, pipeline: str | None = None) -> str:
    """Return the runs of each pipeline, or of one, as tables: the oldest first.

    `rows` are those of the last step that ended. A run that was started elsewhere, as on Kubeflow,
    keeps no record here but the results that its steps refer to.

    Raises:
        InvalidArgumentError: there are no runs, or no such pipeline.
        InvalidDatasetError: a record cannot be read.
    """
    base_path = storage.normalize(base_path)
    names = [
        name for name in storage.folders(base_path) if PipelineFolder.of(base_path, name).run_ids()
    ]
    if pipeline is not None and pipeline not in names:
        hint = did_you_mean(pipeline, names)
        known = ", ".join(names) or "none"
        msg = f"{base_path} holds no runs of a pipeline {pipeline!r}{hint} Pipelines: {known}."
        raise InvalidArgumentError(msg)
    if not names:
        msg = f"{base_path} (BASE_PATH, --base-path) holds no runs."
        raise InvalidArgumentError(msg)
    shown = names if pipeline is None else [pipeline]
    return "\n\n".join(
        f"{name}\n{aligned(_HEAD, list(_rows(base_path, name)), {4})}" for name in shown
    )


def _rows(base_path: str, name: str) -> Iterator[Sequence[str]]:
    folder = PipelineFolder.of(base_path, name)
    recorded = read_runs(base_path, name)
    for run_id in sorted(set(folder.run_ids()) - {run["run_id"] for run in recorded}):
        yield run_id, "-", "elsewhere", str(len(folder.run(run_id).references())), "-"
    for run in recorded:
        steps = run.get("steps", ())
        rows = f"{steps[-1]['rows']:,}" if steps else "-"
        yield run["run_id"], _when(run), str(run.get("state")), _steps(run), rows


def _when(run: Mapping[str, Any]) -> str:
    return str(run["started"]).replace("T", " ").removesuffix("+00:00")


def _steps(run: Mapping[str, Any]) -> str:
    done = run.get("steps", ())
    cached = sum(step["cached"] for step in done)
    told = f"{len(done)} of {len(run['planned'])}"
    return f"{told}, {cached} cached" if cached else told
