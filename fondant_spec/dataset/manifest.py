"""The manifest: JSON that lists a dataset's fields, their locations, and its partitions.

It is written last, atomically, and only once all files are in place: it is the commit of a step.
The keys `metadata`, `index` and `fields` are those of Fondant 0.12, whose reader accepts the file;
additional keys stand beside them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import pyarrow as pa

from fondant_spec.dataset import storage
from fondant_spec.dataset.confinement import Reach
from fondant_spec.dataset.layout import MANIFEST_FILE, StepFolder
from fondant_spec.dataset.record_check import find_problem
from fondant_spec.errors import FondantError, InvalidManifestError
from fondant_spec.spec.attribute_types import wrong_attribute
from fondant_spec.spec.types import type_from_json, type_to_json

VERSION: Final = 1


@dataclass(frozen=True)
class Field:
    """A typed column: the folder with its partition files, and the metadata set by its step."""

    name: str
    type: pa.DataType
    location: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Partition:
    """One Parquet file of a dataset: `<name>.parquet`.

    `bytes` is the size of the file, and `sha256` its hash. `digest` changes with the file, and with
    those that earlier steps wrote for the same rows.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    digest: str
    first_id: str | None = None
    last_id: str | None = None


@dataclass(frozen=True)
class Input:
    """A manifest that a step read, and the `digest` of its content at that time."""

    location: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """A dataset after a step.

    `partitions` are the files at `index_location`, in order. `inputs` are the manifests that the
    step read. `root` is the location of the manifest of the step that made the ids; datasets with
    the same root share their rows. `parent_field` holds the id that a row had in the input, if the
    step made new ids. `key_parts` are the parts of the cache key. `artifacts` are the paths of what
    a step wrote for use outside the pipeline, and `artifact_sha256` the hashes of those that are
    files.
    """

    pipeline_name: str
    step_id: str
    run_id: str
    cache_key: str
    location: str
    index_location: str
    fields: Mapping[str, Field]
    partitions: tuple[Partition, ...] = ()
    inputs: tuple[Input, ...] = ()
    root: str = ""
    parent_field: str | None = None
    component: Mapping[str, str] = field(default_factory=dict)
    key_parts: Mapping[str, Any] = field(default_factory=dict)
    rows_in: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    seconds: float = 0.0
    artifacts: tuple[str, ...] = ()
    artifact_sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of rows in the dataset."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def folder(self) -> str:
        """The folder of the step, which contains the manifest."""
        return storage.parent(self.location)

    @property
    def data_location(self) -> str:
        """The folder with the partitions that the step itself wrote."""
        return StepFolder(self.folder).data

    @property
    def own_fields(self) -> list[Field]:
        """The fields that the step itself wrote."""
        return [field_ for field_ in self.fields.values() if field_.location == self.data_location]

    @property
    def digest(self) -> str:
        """A hash of the content: of the files of this step, and of what they were made from.

        A step that runs again may produce other bytes under the same cache key (the web changes);
        results made from the old ones are then no longer valid.
        """
        return combine(partition.digest for partition in self.partitions)

    @property
    def rejects_location(self) -> str:
        """The folder with the rejected rows, if there are any."""
        return StepFolder(self.folder).rejects

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "version": VERSION,
            "metadata": {
                "dataset_name": self.pipeline_name,
                "run_id": self.run_id,
                "component_id": self.step_id,
                "cache_key": self.cache_key,
                "manifest_location": self.location,
            },
            "index": {"location": self.index_location},
            "fields": {name: _field_to_dict(field_) for name, field_ in self.fields.items()},
            "partitions": [asdict(partition) for partition in self.partitions],
            "inputs": [asdict(input_) for input_ in self.inputs],
            "root": self.root,
            "parent_field": self.parent_field,
            "component": dict(self.component),
            "key_parts": dict(self.key_parts),
            "rows_in": self.rows_in,
            "rows": self.rows,
            "rejects": dict(self.rejects),
            "failed": self.failed,
            "seconds": self.seconds,
            "artifacts": list(self.artifacts),
            "artifact_sha256": dict(self.artifact_sha256),
        }

    def write(self, *, replaces: bool = True) -> None:
        """Commit the dataset: write the manifest to its location, atomically.

        Raises:
            StorageError: `replaces` is false, and another run has committed meanwhile.
        """
        write = storage.write_text if replaces else storage.write_new_text
        write(self.location, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def read(cls, location: str) -> "Manifest":
        """Read a manifest from its file, or from the folder that contains it.

        A dataset may be moved or copied as a whole: locations are resolved relative to where the
        manifest is now.

        Raises:
            InvalidManifestError: no such file, not JSON, not a manifest, or one that names files
                outside of its `Reach`.
        """
        location = storage.normalize(location)
        if not location.endswith(".json"):
            location = storage.join(location, MANIFEST_FILE)
        if not storage.exists(location):
            msg = (
                f"{location}: there is no such manifest; name a step, or the folder of its result."
            )
            raise InvalidManifestError(msg)
        try:
            content = json.loads(storage.read_text(location))
            manifest = _from_dict(content)
        except KeyError as error:
            msg = f"{location}: not a manifest: the key {error} is missing."
            raise InvalidManifestError(msg) from None
        except (FondantError, ValueError, TypeError, AttributeError, RecursionError) as error:
            msg = f"{location}: not a manifest that can be read: {error}"
            raise InvalidManifestError(msg) from None
        if manifest.location != location:
            manifest = _moved(manifest, location)
        return _confined(manifest)


def combine(digests: Iterable[str]) -> str:
    """Combine several digests into one, in their order."""
    return hashlib.sha256(json.dumps(list(digests)).encode()).hexdigest()


def _field_to_dict(field_: Field) -> dict[str, Any]:
    content = {"location": field_.location, **type_to_json(field_.type)}
    return content | {"metadata": dict(field_.metadata)} if field_.metadata else content


def _from_dict(content: dict[str, Any]) -> Manifest:
    metadata = content["metadata"]
    if content.get("version", VERSION) > VERSION:
        msg = f"it has version {content['version']}, newer than {VERSION}; upgrade fondant-spec."
        raise InvalidManifestError(msg)
    manifest = Manifest(
        pipeline_name=metadata["dataset_name"],
        step_id=metadata["component_id"],
        run_id=metadata["run_id"],
        cache_key=metadata["cache_key"],
        location=metadata["manifest_location"],
        index_location=content["index"]["location"],
        fields={
            name: Field(name, type_from_json(f, name), f["location"], f.get("metadata", {}))
            for name, f in content["fields"].items()
        },
        partitions=tuple(Partition(**p) for p in content["partitions"]),
        inputs=tuple(Input(**i) for i in content["inputs"]),
        root=content["root"],
        parent_field=content["parent_field"],
        component=content["component"],
        key_parts=content["key_parts"],
        rows_in=content["rows_in"],
        rejects=content["rejects"],
        failed=content["failed"],
        seconds=content["seconds"],
        artifacts=tuple(content["artifacts"]),
        artifact_sha256=content.get("artifact_sha256", {}),
    )
    others = (*manifest.fields.values(), *manifest.inputs)
    problem = find_problem(manifest, manifest.partitions) or next(
        filter(None, map(wrong_attribute, others)), None
    )
    if problem is not None:
        msg = f"{problem}."
        raise InvalidManifestError(msg)
    return manifest


def _confined(manifest: Manifest) -> Manifest:
    """Return the manifest, if all files that would be read for it are within its reach.

    Artifacts may lie anywhere: code that reads them checks by itself.
    """
    reach = Reach.of(manifest.location)
    folder = StepFolder(manifest.folder)
    places = {
        folder.rejects,
        manifest.index_location,
        *(field_.location for field_ in manifest.fields.values()),
        *(input_.location for input_ in manifest.inputs),
    }
    for place in sorted(places):
        if not reach.covers(place):
            msg = f"{manifest.location}: {reach.refusal(place)}"
            raise InvalidManifestError(msg)
    return manifest


def _moved(manifest: Manifest, location: str) -> Manifest:
    """Return the manifest with its locations resolved against where it is now.

    Everything is at <base>/<pipeline>/<step>/<key>/..., so the old and the new base path are what
    remains of the two locations without their common suffix.
    """
    end = "/".join(manifest.location.split("/")[-4:])
    if not location.endswith(end):
        return replace(manifest, location=location)
    old, new = manifest.location.removesuffix(end), location.removesuffix(end)

    def rebase(path: str) -> str:
        return new + path.removeprefix(old) if path.startswith(old) else path

    return replace(
        manifest,
        location=location,
        index_location=rebase(manifest.index_location),
        fields={n: replace(f, location=rebase(f.location)) for n, f in manifest.fields.items()},
        inputs=tuple(replace(i, location=rebase(i.location)) for i in manifest.inputs),
        root=rebase(manifest.root),
        artifacts=tuple(map(rebase, manifest.artifacts)),
        artifact_sha256={rebase(p): digest for p, digest in manifest.artifact_sha256.items()},
    )
