"""The summary of a successful run: rows, rejects, and the location of the training set."""

from collections import Counter

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.plain_words import duration
from fondant_spec.runners.kubeflow.following.outcomes import Outcomes, describe_rejects
from fondant_spec.runners.kubeflow.following.run_state import RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun
from fondant_spec.runners.kubeflow.submission import show_command


def describe_end(run: SubmittedRun, outcomes: Outcomes, now: RunState) -> str:
    """Summarise a successful run in one line, from its results or the logs of its pods."""
    last = run.plan.steps[-1]
    took = f" in {duration(now.seconds)}" if now.seconds else ""
    made = outcomes.of(now, last)
    if made is None:
        below = PipelineFolder.of(run.plan.base_path, run.plan.pipeline_name).location
        told = f"the result of {last.id} is below {storage.join(below, last.id)}"
    else:
        told = f"{made.rows:,} rows{_all_rejects(run, outcomes, now)}, at {made.place}"
    mounted = f", where the volume claim {run.volume} is mounted" if run.volume else ""
    return f"succeeded{took}: {told}. Look at it{mounted}: {show_command(run.plan)}"


def _all_rejects(run: SubmittedRun, outcomes: Outcomes, now: RunState) -> str:
    """Describe the rejects of all steps; empty if those of any step are unknown."""
    rejects: Counter[str] = Counter()
    for planned in run.plan.steps:
        made = outcomes.of(now, planned)
        if made is None:
            return ""
        rejects.update(made.rejects)
    return describe_rejects(rejects) or ", no rejects"
