"""Listing the runs below a base path."""

from collections.abc import Iterator, Sequence

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.pipeline.find_run import ELSEWHERE, Run, list_pipelines, list_runs
from fondant_spec.pipeline.run_history import aligned

_HEAD = ("run", "when (UTC)", "state", "steps", "rows")


def describe_runs(base_path: str, pipeline: str | None = None) -> str:
    """Format the runs of each pipeline, or of one, as tables, oldest first.

    `rows` are those of the last step that finished.

    Raises:
        InvalidArgumentError: there are no runs, or no such pipeline.
        InvalidDatasetError: a record cannot be read.
    """
    base_path = storage.normalize(base_path)
    names = list_pipelines(base_path)
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


def _rows(base_path: str, pipeline: str) -> Iterator[Sequence[str]]:
    for run in list_runs(base_path, pipeline):
        steps = run.record.get("steps", ())
        rows = f"{steps[-1]['rows']:,}" if steps else "-"
        yield run.id, when(run), run.state, _steps(run), rows


def when(run: Run) -> str:
    """Format the start of a run, to the second, in UTC."""
    return run.started[: len("2026-01-01T00:00:00")].replace("T", " ")


def _steps(run: Run) -> str:
    planned = len(run.record["planned"])
    if run.state == ELSEWHERE:
        return str(planned)
    done = run.record.get("steps", ())
    cached = sum(step["cached"] for step in done)
    told = f"{len(done)} of {planned}"
    return f"{told}, {cached} cached" if cached else told
