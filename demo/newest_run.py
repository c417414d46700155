"""What the newest run of the demo made."""

from typing import Any

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.errors import InputDataError
from fondant_spec.pipeline.run_history import read_runs
from pipeline import NAME


def newest_run(base_path: str) -> dict[str, Manifest]:
    """Return the manifests of the newest run that succeeded, by step id.

    Raises:
        InputDataError: there is none.
    """
    runs = [run for run in read_runs(base_path, NAME) if run["state"] == "succeeded"]
    if not runs:
        message = f"{base_path}: no run has succeeded there; run `python -m demo.run` first."
        raise InputDataError(message)
    return {step["step_id"]: Manifest.read(step["manifest"]) for step in runs[-1]["steps"]}


def read_rows(manifest: Manifest, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rows of a small dataset, with `id` and the fields named."""
    fields = {name: manifest.fields[name] for name in names}
    return [
        row
        for partition in manifest.partitions
        for batch in read_batches(fields, manifest.index_location, partition.name)
        for row in batch.to_pylist()
    ]
