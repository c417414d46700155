"""What the explorer was pointed at: a base path, and the page below it to open."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import MANIFEST_FILE, PipelineFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError, InvalidArgumentError
from fondant_spec.pipeline.find_dataset import find_dataset
from fondant_spec.pipeline.find_run import Run, find_run, list_pipelines, list_runs

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Place:
    """A base path, and the address of the page to open first."""

    base_path: str
    address: str

    def dataset(self, pipeline: str, step: str, key: str) -> Manifest:
        """Return a dataset below the base path by its folder names.

        Raises:
            InvalidArgumentError: a name is not a valid folder name.
            InvalidManifestError: there is no such dataset.
        """
        if not all(map(_NAME.fullmatch, (pipeline, step, key))):
            msg = f"{pipeline}/{step}/{key}: no name of a dataset."
            raise InvalidArgumentError(msg)
        folder = PipelineFolder.of(self.base_path, pipeline).step(step, key)
        return Manifest.read(folder.location)

    def run(self, pipeline: str, run_id: str) -> Run:
        """Return a run by its names.

        Raises:
            InvalidArgumentError: there is no such run.
        """
        runs = list_runs(self.base_path, pipeline) if _NAME.fullmatch(pipeline) else []
        found = next((run for run in runs if run.id == run_id), None)
        if found is None:
            msg = f"{pipeline}: there is no run {run_id!r}."
            raise InvalidArgumentError(msg)
        return found

    def pipelines(self) -> dict[str, list[Run]]:
        """Return the runs of each pipeline, newest first."""
        return {
            name: list_runs(self.base_path, name)[::-1] for name in list_pipelines(self.base_path)
        }

    def results(self) -> list[tuple[str, str, str]]:
        """Return pipeline, step and key of all results, including those that no run mentions."""
        return [
            (pipeline, step, key)
            for pipeline in storage.folders(self.base_path)
            for folder in [PipelineFolder.of(self.base_path, pipeline)]
            for step in folder.step_ids()
            for key in folder.cache_keys(step)
            if storage.is_file(folder.step(step, key).manifest)
        ]


def dataset_address(manifest: Manifest) -> str:
    """Return the address of a dataset's gallery."""
    return "/data/" + "/".join(map(quote, names_of(manifest)))


def row_address(manifest: Manifest, row_id: str) -> str:
    """Return the address of a row."""
    return f"{dataset_address(manifest)}/row/{quote(row_id, safe='')}"


def names_of(manifest: Manifest) -> tuple[str, str, str]:
    """Return pipeline, step and key of a dataset, from its folder names."""
    pipeline, step, key = manifest.folder.split("/")[-3:]
    return pipeline, step, key


def run_address(run: Run) -> str:
    """Return the address of a run's page."""
    return f"/run/{quote(run.pipeline)}/{quote(run.id)}"


def find_place(path: str, base_path: str) -> Place:
    """Return the place that a path or name refers to.

    Args:
        path: a base path; a pipeline's folder; a run's folder or id; a step's folder or name; or a
            manifest or the folder that holds it.
        base_path: where names are looked up.

    Raises:
        InvalidArgumentError: nothing has that path or name.
        StorageError: it cannot be read.
    """
    place = storage.normalize(path)
    if path.endswith(".json") or storage.is_file(storage.join(place, MANIFEST_FILE)):
        return _at_dataset(Manifest.read(place))
    if storage.exists(place):
        if _has_results(place):
            return Place(place, "/")
        above, _, name = place.rpartition("/")
        if name and _has_results(above) and PipelineFolder(place).step_ids():
            return Place(above, f"/#{quote(name)}")
        if above.endswith("/runs"):
            return _at_run(above.removesuffix("/runs").rpartition("/")[0], name)
    try:
        return _at_dataset(find_dataset(path, base_path))
    except InvalidArgumentError as no_dataset:
        try:
            return _at_run(storage.normalize(base_path), path)
        except FondantError:
            raise no_dataset from None


def _at_dataset(manifest: Manifest) -> Place:
    base_path = storage.parent(storage.parent(storage.parent(manifest.folder)))
    return Place(base_path, dataset_address(manifest))


def _at_run(base_path: str, name: str) -> Place:
    return Place(base_path, run_address(find_run(base_path, name)))


def _has_results(folder: str) -> bool:
    """Return whether a folder is a base path: one with pipelines that have runs or results."""
    place = Place(folder, "/")
    return bool(list_pipelines(folder)) or bool(place.results())
