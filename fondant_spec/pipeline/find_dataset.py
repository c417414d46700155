"""Finding a dataset by what a person calls it: a path, or the name of the step that made it."""

from collections.abc import Iterator
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import MANIFEST_FILE, PipelineFolder, StepFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.written_files import MARK, is_mark
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.pipeline.run_history import read_runs

_BEGINNINGS: Final = ("/", "./", "../", "~")
"""How a path begins, and the name of a step does not."""


def find_dataset(name: str, base_path: str) -> Manifest:
    """Return the dataset of a path, or the newest of a step.

    Args:
        name: a manifest, the folder that holds it, the folder of a step, or a step's name:
            `caption_images`, or `stable-diffusion/caption_images` where pipelines share it.
        base_path: where steps are looked for.

    Raises:
        InvalidArgumentError: there is no dataset of that name; the message says which steps are.
        InvalidManifestError: there is, and it cannot be read.
    """
    if storage.is_remote(name) or name.endswith(".json") or _holds_manifest(name):
        return Manifest.read(name)
    base_path = storage.normalize(base_path)
    place = storage.normalize(name)
    if storage.exists(place) and (found := max(_dated(place), default=None)):
        return Manifest.read(found[1])
    names = dict(_step_folders(base_path))
    wanted = [folder for label, folder in names.items() if name in (label, label.split("/")[1])]
    dated = [(when, at) for folder in wanted for when, at in _dated(folder)]
    if dated:
        return Manifest.read(max(dated)[1])
    steps = list(dict.fromkeys(label.split("/")[1] for label in names))
    is_there = storage.exists(place)
    if name not in steps and (is_there or name.startswith(_BEGINNINGS)):
        what = "holds no dataset" if is_there else "there is no such folder"
        msg = f"{place}: {what}; name a step, or the folder of its result."
    else:
        msg = (
            f"{base_path} (BASE_PATH, --base-path) has no result of a step {name!r}"
            f"{did_you_mean(name, steps)} Steps: {', '.join(steps) or 'none'}."
        )
    raise InvalidArgumentError(msg)


def find_unfinished(name: str) -> StepFolder | None:
    """Return the folder of a step that has rejects and no result, since it failed; else None."""
    folder = StepFolder(storage.normalize(name))
    if storage.exists(folder.manifest) or not storage.exists(folder.rejects):
        return None
    return folder


def find_mark(name: str) -> str | None:
    """Return the mark of a folder that a step wrote for others; None where it is a dataset."""
    if name.endswith(".json") or _holds_manifest(name):
        return name if is_mark(name) else None
    mark = storage.join(storage.normalize(name), MARK)
    return mark if storage.is_file(mark) else None


def _holds_manifest(folder: str) -> bool:
    return storage.is_file(storage.join(storage.normalize(folder), MANIFEST_FILE))


def _dated(folder: str) -> Iterator[tuple[float, str]]:
    """Yield when each result of a step was last made or used by a run, and its manifest.

    A run that finds a result already there makes it the newest again, as a person sees it.
    """
    pipeline, _, step_id = folder.rpartition("/")
    base_path, _, name = pipeline.rpartition("/")
    used: dict[str, float] = {}
    runs = PipelineFolder(pipeline)
    for run in read_runs(base_path, name):
        at = _modified(runs.run(run["run_id"]).record)
        for step in run.get("steps", ()):
            if step["step_id"] == step_id:
                used[step["cache_key"]] = max(at, used.get(step["cache_key"], 0.0))
    for key in storage.folders(folder):
        location = storage.join(folder, key, MANIFEST_FILE)
        if storage.is_file(location):
            yield max(_modified(location), used.get(key, 0.0)), location


def _step_folders(base_path: str) -> Iterator[tuple[str, str]]:
    """Yield pipeline and step as one label, and the folder, of every step with a result."""
    for pipeline in storage.folders(base_path):
        folder = PipelineFolder.of(base_path, pipeline)
        for step_id in folder.step_ids():
            place = storage.join(folder.location, step_id)
            if any(_holds_manifest(storage.join(place, key)) for key in storage.folders(place)):
                yield f"{pipeline}/{step_id}", place


def _modified(location: str) -> float:
    """Return when a file was written, in seconds."""
    fs, path = storage.filesystem(location)
    return float(fs.modified(path).timestamp())
