"""References from runs to results that they read or made, recorded by each step as it starts.

So every run is known where its data is, even if it was started from elsewhere.
"""

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder


def note(pipeline: PipelineFolder, run_id: str, step_id: str, cache_key: str) -> None:
    """Record that a run refers to a step's result."""
    storage.write_text(pipeline.run(run_id).reference(step_id), cache_key)


def read(pipeline: PipelineFolder) -> dict[str, set[tuple[str, str]]]:
    """Return what each run of a pipeline refers to, as pairs of step id and cache key."""
    return {run_id: set(pipeline.run(run_id).references().items()) for run_id in pipeline.run_ids()}
