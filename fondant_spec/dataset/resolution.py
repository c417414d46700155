"""Resolving a step over given inputs: cache key, folder, field mapping and fields.

This is decided only here: the plan resolves over datasets to come, the executor over existing ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from fondant_spec.dataset.cache_key import cache_key, key_parts
from fondant_spec.dataset.field_mapping import FieldMapping, fields_after, map_fields
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.manifest import Field
from fondant_spec.dataset.mentioned_fields import mentioned_fields
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.spec.component_spec import ComponentSpec


class Dataset(Protocol):
    """A dataset that exists, or that a plan expects.

    `root` is the location of the manifest whose step made the ids: datasets with the same root
    share their rows.
    """

    @property
    def step_id(self) -> str:
        """The step that makes it."""

    @property
    def cache_key(self) -> str:
        """The cache key of that step."""

    @property
    def root(self) -> str:
        """The origin of its ids."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """Its fields by name."""


D = TypeVar("D", bound=Dataset)


@dataclass(frozen=True)
class StepUse:
    """One use of a component: all that its result depends on, besides the inputs."""

    step_id: str
    spec: ComponentSpec
    arguments: Mapping[str, Any]
    consumes: Mapping[str, str]
    produces: Mapping[str, Any]
    rows_per_partition: int


@dataclass(frozen=True)
class Resolution(Generic[D]):
    """A step resolved over its inputs.

    `groups` are the inputs: those of one group share their rows and are read side by side; groups
    are read one after the other. `mappings` holds the field mapping of each group, or a single one
    if there are no inputs. `fields` are those of the dataset after the step.
    """

    key_parts: Mapping[str, Any]
    cache_key: str
    folder: StepFolder
    root: str
    groups: tuple[tuple[D, ...], ...]
    mappings: tuple[FieldMapping, ...]
    fields: Mapping[str, Field]


def resolve_step(use: StepUse, inputs: Sequence[D], pipeline: PipelineFolder) -> Resolution[D]:
    """Resolve a step over its inputs.

    Raises:
        InvalidPipelineError: an input is missing or too many, branches do not fit together, or a
            field is missing or of another type.
    """
    spec = use.spec
    groups = _grouped(use, inputs)
    available = [
        join_fields({one.step_id: one.fields for one in group}, use.step_id) for group in groups
    ]
    mappings = tuple(
        map_fields(
            spec,
            fields,
            {**mentioned_fields(spec, use.arguments, fields), **use.consumes},
            use.produces,
            use.step_id,
        )
        for fields in available or [{}]
    )
    parts = key_parts(
        spec,
        use.arguments,
        use.consumes,
        use.produces,
        [one.cache_key for one in inputs],
        use.rows_per_partition if spec.makes_ids else None,
    )
    key = cache_key(parts)
    folder = pipeline.step(use.step_id, key)
    kept = {} if spec.makes_ids else available[0]
    return Resolution(
        key_parts=parts,
        cache_key=key,
        folder=folder,
        root=folder.manifest if spec.makes_ids else inputs[0].root,
        groups=groups,
        mappings=mappings,
        fields=fields_after(mappings[0], kept, folder.data),
    )


def _grouped(use: StepUse, inputs: Sequence[D]) -> tuple[tuple[D, ...], ...]:
    """Group the inputs by root; only a step that makes new ids may read more than one group."""
    if not inputs and not use.spec.loads:
        msg = (
            f"{use.step_id}: the component consumes fields; say which step it comes `after` (for "
            "the executor, --input_manifest_path)."
        )
        raise InvalidPipelineError(msg)
    if inputs and use.spec.loads:
        msg = (
            f"{use.step_id}: the component consumes nothing, so it cannot come after another step."
        )
        raise InvalidPipelineError(msg)
    groups = by_root(inputs)
    if len(groups) > 1 and not use.spec.makes_ids:
        names = " and ".join(repr(one.step_id) for one in inputs)
        msg = (
            f"{use.step_id}: {names} have different rows, because ids were made anew between them."
        )
        raise InvalidPipelineError(msg)
    return groups


def join_fields(branches: Mapping[str, Mapping[str, Field]], step_id: str) -> dict[str, Field]:
    """Merge the fields of several branches, given by the id of their last step.

    `step_id` is the step that reads them.

    Raises:
        InvalidPipelineError: two branches have different fields of the same name.
    """
    fields: dict[str, Field] = {}
    origins: dict[str, str] = {}
    for branch, own in branches.items():
        for name, candidate in own.items():
            origin = origins.setdefault(name, branch)
            if fields.setdefault(name, candidate).location != candidate.location:
                msg = (
                    f"{step_id}: field {name!r} comes from both {origin!r} and {branch!r}; give "
                    "one of them another name with `produces`."
                )
                raise InvalidPipelineError(msg)
    return fields


def by_root(datasets: Sequence[D]) -> tuple[tuple[D, ...], ...]:
    """Group datasets by root, in order of each root's first appearance."""
    groups: dict[str, list[D]] = {}
    for one in datasets:
        groups.setdefault(one.root, []).append(one)
    return tuple(map(tuple, groups.values()))
