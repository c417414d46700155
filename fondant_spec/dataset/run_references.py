"""What runs refer to: the results that a run read or made, noted by each step as it starts.

So every run is known where its data lies, also one that was started from elsewhere.
"""

from typing import Final

from fondant_spec.dataset import storage

RUNS: Final = "runs"
_ENDING: Final = ".key"


def note(base_path: str, pipeline_name: str, run_id: str, step_id: str, cache_key: str) -> None:
    """Note that a run refers to a step's result."""
    folder = storage.join(base_path, pipeline_name, RUNS, run_id)
    storage.write_text(storage.join(folder, f"{step_id}{_ENDING}"), cache_key)


def read(base_path: str, pipeline_name: str) -> dict[str, set[tuple[str, str]]]:
    """Return what each run of a pipeline refers to, as pairs of step id and cache key."""
    root = storage.join(base_path, pipeline_name, RUNS)
    found = {}
    for run_id in storage.folders(root):
        folder = storage.join(root, run_id)
        files = [name for name in storage.sizes(folder) if name.endswith(_ENDING)]
        found[run_id] = {
            (name.removesuffix(_ENDING), storage.read_text(storage.join(folder, name)))
            for name in files
        }
    return found
