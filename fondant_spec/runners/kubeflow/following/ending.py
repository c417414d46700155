"""How a run that succeeded is told: rows, rejects, and where the training set is."""

from collections import Counter
from collections.abc import Iterator

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.reject_listing import in_words
from fondant_spec.errors import HostError
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.pipeline.run_history import places
from fondant_spec.progress import duration
from fondant_spec.runners.kubeflow.following.run_state import RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun


def describe_end(run: SubmittedRun, now: RunState) -> str:
    """Return one line on a run that succeeded, of what is seen of it here or in its pods' logs."""
    last = run.plan.steps[-1]
    took = f" in {duration(now.seconds)}" if now.seconds else ""
    parts = [f"succeeded{took}", *_rows(run, now, last)]
    return f"{', '.join(parts)}. Look at it: {_command(run, last)}"


def _rows(run: SubmittedRun, now: RunState, last: PlannedStep) -> Iterator[str]:
    manifest = run.results.manifest(last)
    if manifest is not None:
        rejects: Counter[str] = Counter()
        for planned in run.plan.steps:
            done = run.results.manifest(planned)
            rejects.update(done.rejects if done else {})
        lost = f" ({in_words(rejects)})" if rejects else ""
        yield f"{manifest.rows:,} rows, {rejects.total():,} rejects{lost}"
        yield f"at {', '.join(places(manifest.artifacts)) or manifest.folder}"
        return
    printed = _printed(run, now, last)
    if printed is not None:
        yield f"{printed[0]:,} rows at {printed[1]}"
    else:
        below = PipelineFolder.of(run.plan.base_path, run.plan.pipeline_name).location
        yield f"the result of {last.id} is below {storage.join(below, last.id)}"


def _printed(run: SubmittedRun, now: RunState, last: PlannedStep) -> tuple[int, str] | None:
    """Return how many rows the last step printed that it made, and where."""
    pods = run.pods_of(now, last)
    try:
        return run.log(pods[-1]).result if pods else None
    except HostError:
        return None


def _command(run: SubmittedRun, last: PlannedStep) -> str:
    name = f"{run.plan.pipeline_name}/{last.id}"
    return f"fondant-spec show {name} --base-path {run.plan.base_path}"
