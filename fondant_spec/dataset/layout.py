"""The names of all folders and files below a base path.

<base path>/<pipeline>/
<step>/<cache key>/    a step's result: see `StepFolder`
runs/<run id>/         what is kept of a run: see `RunFolder`
"""

from dataclasses import dataclass
from typing import Final, Self

from fondant_spec.dataset import storage

MANIFEST_FILE: Final = "manifest.json"
PARTITION_ENDING: Final = ".parquet"
CHECKPOINT_ENDING: Final = ".json"

_RUNS: Final = "runs"
_REFERENCE_ENDING: Final = ".key"


@dataclass(frozen=True)
class StepFolder:
    """The folder of a step's result under one cache key."""

    location: str

    @classmethod
    def of_manifest(cls, location: str) -> Self:
        """Return the folder that holds a manifest."""
        return cls(storage.parent(location))

    @property
    def manifest(self) -> str:
        """The manifest, which is written last: the commit."""
        return storage.join(self.location, MANIFEST_FILE)

    @property
    def data(self) -> str:
        """The folder of the partitions: the ids, and the fields that the step made."""
        return storage.join(self.location, "data")

    @property
    def staged(self) -> str:
        """The folder of rows that are to be gathered, or merged in a retry."""
        return storage.join(self.location, "staged")

    @property
    def rejects(self) -> str:
        """The folder of the rows that the step gave up on."""
        return storage.join(self.location, "rejects")

    @property
    def checkpoints(self) -> str:
        """The folder of the checkpoints, one for each finished partition."""
        return storage.join(self.location, "checkpoints")

    @property
    def pieces(self) -> str:
        """The folder for the finished rows of partitions that are still being computed."""
        return storage.join(self.location, "pieces")

    @property
    def unfinished(self) -> str:
        """The folder in which a component keeps its own work until the step is committed."""
        return storage.join(self.location, "unfinished")

    @property
    def leases(self) -> str:
        """The folder that says which runs write here."""
        return storage.join(self.location, "leases")

    @property
    def step_id(self) -> str:
        """The id of the step."""
        return storage.parent(self.location).rpartition("/")[2]

    @property
    def cache_key(self) -> str:
        """The cache key of the step."""
        return self.location.rpartition("/")[2]

    @property
    def output(self) -> str:
        """The folder in which a component that writes puts its files, unless it is given a path."""
        return storage.join(self.location, "output")


@dataclass(frozen=True)
class RunFolder:
    """The folder with what is kept of a run."""

    location: str

    @property
    def record(self) -> str:
        """The steps of the run, and how each one ended."""
        return storage.join(self.location, "run.json")

    def log(self, step_id: str) -> str:
        """Return where the output of a step is kept."""
        return storage.join(self.location, f"{step_id}.log")

    def reference(self, step_id: str) -> str:
        """Return the file that names the cache key that a step of the run refers to."""
        return storage.join(self.location, f"{step_id}{_REFERENCE_ENDING}")

    def references(self) -> dict[str, str]:
        """Return the cache keys that the run refers to, by step id."""
        return {
            name.removesuffix(_REFERENCE_ENDING): storage.read_text(
                storage.join(self.location, name)
            )
            for name in storage.sizes(self.location)
            if name.endswith(_REFERENCE_ENDING)
        }


@dataclass(frozen=True)
class PipelineFolder:
    """The folder of a pipeline, below a base path."""

    location: str

    @classmethod
    def of(cls, base_path: str, pipeline_name: str) -> Self:
        """Return the folder of a pipeline by its name; `base_path` is a normalised one."""
        return cls(storage.join(base_path, pipeline_name))

    def step(self, step_id: str, cache_key: str) -> StepFolder:
        """Return the folder of a step's result."""
        return StepFolder(storage.join(self.location, step_id, cache_key))

    def step_ids(self) -> list[str]:
        """Return the ids of the steps that have a folder, sorted."""
        return [name for name in storage.folders(self.location) if name != _RUNS]

    def cache_keys(self, step_id: str) -> list[str]:
        """Return the names of the folders of a step, sorted."""
        return storage.folders(storage.join(self.location, step_id))

    @property
    def runs(self) -> str:
        """The folder of all runs."""
        return storage.join(self.location, _RUNS)

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(storage.join(self.runs, run_id))

    def run_ids(self) -> list[str]:
        """Return the ids of the runs that have a folder, sorted."""
        return storage.folders(self.runs)


def partition_file(folder: str, partition: str) -> str:
    """Return the path of a partition's file."""
    return storage.join(folder, f"{partition}{PARTITION_ENDING}")
