"""The request in an argument vector, and the step that it resolves to."""

import inspect
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fondant_spec.dataset import run_references, storage
from fondant_spec.dataset.base_path import check_writable
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.manifest import Input, Manifest
from fondant_spec.dataset.resolution import Resolution, StepUse, resolve_step
from fondant_spec.errors import (
    InvalidComponentSpecError,
    InvalidDatasetError,
    InvalidManifestError,
)
from fondant_spec.spec import arguments
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS, SPEC_FILE, ExecutorOptions
from fondant_spec.worker.base_components import Component, GatherComponent
from fondant_spec.worker.input_rows import InputRows
from fondant_spec.worker.partition_tasks import PartitionTask, partition_tasks
from fondant_spec.worker.step_context import StepContext

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepRequest:
    """A step to run here: the component, and the content of the argument vector."""

    component_class: type[Component]
    spec: ComponentSpec
    options: ExecutorOptions
    inputs: tuple[Manifest, ...]
    resolved: Resolution[Manifest]
    context: StepContext

    @property
    def takes_committed(self) -> bool:
        """Whether a finished result is used as it is."""
        return self.options.cache and not self.options.retry

    @property
    def written(self) -> list[str]:
        """The places that the arguments name for output."""
        values, declared = self.context.arguments, self.spec.arguments
        return [str(v) for name, v in values.items() if declared[name].output and v]

    @property
    def tasks(self) -> list[PartitionTask]:
        """The partitions to read."""
        return partition_tasks(self.resolved.groups)

    @property
    def manifest(self) -> Manifest:
        """The manifest, as far as it is known before anything has run."""
        return Manifest(
            pipeline_name=self.options.pipeline_name,
            step_id=self.context.step_id,
            run_id=self.context.run_id,
            cache_key=self.resolved.cache_key,
            location=self.resolved.folder.manifest,
            index_location=self.resolved.folder.data,
            fields=self.resolved.fields,
            inputs=tuple(Input(m.location, m.digest) for m in self.inputs),
            root=self.resolved.root,
            component={
                "name": self.spec.name,
                "image": self.spec.image,
                "code": self.resolved.key_parts["code"],
            },
            key_parts=self.resolved.key_parts,
        )

    def check_inputs(self) -> None:
        """Check that the inputs are still those that the step was requested for.

        Raises:
            InvalidDatasetError: another run has recomputed one, or is about to.
        """
        for manifest in self.inputs:
            try:
                same = Manifest.read(manifest.location).digest == manifest.digest
            except InvalidManifestError:
                same = False
            if not same:
                msg = (
                    f"{self.context.step_id}: another run makes {manifest.location} anew, which "
                    "this step reads; run again when that has ended."
                )
                raise InvalidDatasetError(msg)

    def check_slices(self) -> None:
        """Check that the slices whose work is to be committed did it for this result.

        Raises:
            InvalidDatasetError: one of them has worked under another cache key.
        """
        own = self.resolved.folder
        for folder in self.options.slice_folders:
            if folder not in (own.location, own.manifest):
                msg = (
                    f"{self.context.step_id}: a slice has worked in {folder}, and what is to be "
                    f"committed now is {own.location}: a branch on the hub, or files that an "
                    "argument names, changed between the two. Run again: what still counts is "
                    "kept. To hold a branch still, name its commit as the revision."
                )
                raise InvalidDatasetError(msg)


def read_request(component_class: type[Component], argv: Sequence[str]) -> StepRequest:
    """Parse an argument vector, read the manifests that it names, and resolve the step.

    Raises:
        InvalidArgumentError: an unknown name, a missing value, or a wrong type.
        InvalidComponentSpecError: the spec is wrong, or does not fit the component.
        InvalidManifestError: an input cannot be read.
        InvalidPipelineError: an input is missing, or lacks a field.
        StorageError: the base path cannot be written.
    """
    source = source_of(component_class)
    words = arguments.split_argv(argv)
    file = EXECUTOR_ARGUMENTS["spec_file"].from_text(words.get("spec_file", SPEC_FILE))
    spec = ComponentSpec.from_file(source / file)
    own = {name: words.pop(name) for name in list(words) if name in EXECUTOR_ARGUMENTS}
    options = ExecutorOptions.from_words(own, spec.component_id)
    step_id = str(options.step_id)
    words |= arguments.further_words(spec.arguments, options.further_arguments, words, step_id)
    values = arguments.from_words(spec.arguments, words, step_id)
    _check_kind(component_class, spec, step_id)
    base_path = storage.normalize(options.base_path)
    check_writable(base_path)
    inputs = tuple(Manifest.read(location) for location in options.inputs)
    pipeline = PipelineFolder.of(base_path, options.pipeline_name)
    use = StepUse(
        step_id, spec, values, options.consumes, options.produces, options.rows_per_partition
    )
    resolved = resolve_step(use, inputs, pipeline)
    context = _context(component_class, source, use, options, resolved)
    run_references.note(pipeline, context.run_id, step_id, resolved.cache_key)
    return StepRequest(component_class, spec, options, inputs, resolved, context)


def _check_kind(component_class: type[Component], spec: ComponentSpec, step_id: str) -> None:
    """Check the class of a component that processes all rows at once against its spec."""
    if component_class.gathers and not spec.makes_ids:
        msg = (
            f"{step_id}: a transform that gathers makes new rows, so its spec must explode; one "
            "that keeps its rows is a GatherComponent."
        )
        raise InvalidComponentSpecError(msg)
    if issubclass(component_class, GatherComponent) and spec.makes_ids:
        msg = f"{step_id}: a GatherComponent keeps its rows; its spec must map or filter."
        raise InvalidComponentSpecError(msg)


def source_of(component_class: type[Component]) -> Path:
    """Return the folder of a component, given its class."""
    return Path(inspect.getfile(component_class)).resolve().parents[1]


def _context(
    component_class: type[Component],
    source: Path,
    use: StepUse,
    options: ExecutorOptions,
    resolved: Resolution[Manifest],
) -> StepContext:
    run_id = options.run_id or f"manual-{uuid.uuid4().hex[:8]}"
    # Without the cache, only the partitions of this run are kept, since its slices share them.
    resume_key = f"{options.rows_per_partition}" + ("" if options.cache else f"-{run_id}")
    return StepContext(
        step_id=use.step_id,
        run_id=run_id,
        cache_key=resolved.cache_key,
        main=str(source / "src" / "main.py"),
        class_name=component_class.__name__,
        spec=use.spec,
        arguments=use.arguments,
        mapping=resolved.mappings[0],
        folder=resolved.folder,
        inputs=_input_rows(resolved),
        manifests=tuple(manifest.location for group in resolved.groups for manifest in group),
        rows_per_partition=options.rows_per_partition,
        retry=tuple(options.retry),
        resume_key=resume_key,
    )


def _input_rows(resolved: Resolution[Manifest]) -> tuple[InputRows, ...]:
    """Return the rows of each group; if there are several, ids get a numbered prefix."""
    several = len(resolved.groups) > 1
    return tuple(
        InputRows(
            fields=mapping.inputs,
            index_location=group[0].index_location,
            branches=tuple(manifest.index_location for manifest in group[1:]),
            prefix=f"{number}-" if several else "",
            first=next((part.name for part in group[0].partitions if part.rows), ""),
        )
        for number, (group, mapping) in enumerate(
            zip(resolved.groups, resolved.mappings, strict=False)
        )
    )
