"""Collecting what no run refers to: results of steps under old keys, and half-finished ones."""

from fondant_spec.dataset import run_references as references
from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.pipeline.run_history import read_runs


def collect(
    base_path: str,
    pipeline_name: str,
    *,
    keep_runs: int | None = None,
    delete: bool = False,
) -> list[str]:
    """Return the folders of steps that no run refers to, and remove them if told to.

    A run refers to all the keys it planned and to those that its steps noted, so what a running or
    interrupted run has finished so far is kept, also of one started elsewhere. With `keep_runs`,
    of the runs with a record only the newest so many count, and older ones go too.

    Raises:
        InvalidArgumentError: `keep_runs` is negative.
    """
    if keep_runs is not None and keep_runs < 0:
        msg = f"keep_runs must be 0 or more, not {keep_runs}."
        raise InvalidArgumentError(msg)
    base_path = storage.normalize(base_path)
    root = PipelineFolder.of(base_path, pipeline_name)
    runs = read_runs(base_path, pipeline_name)
    old = runs[: max(len(runs) - keep_runs, 0)] if keep_runs is not None else []
    forgotten = {run["run_id"] for run in old}
    referred = {pair for run in runs[len(old) :] for pair in run["planned"].items()}
    for run_id, pairs in references.read(root).items():
        if run_id not in forgotten:
            referred |= pairs
    garbage = [
        root.step(step, key).location
        for step in root.step_ids()
        for key in root.cache_keys(step)
        if (step, key) not in referred
    ]
    garbage += [root.run(run["run_id"]).location for run in old]
    if delete:
        for folder in garbage:
            storage.remove(folder)
    return garbage
