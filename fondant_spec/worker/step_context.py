"""A step as its workers see it: everything that is sent to a worker process."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fondant_spec.dataset.field_mapping import FieldMapping
from fondant_spec.dataset.layout import StepFolder
from fondant_spec.dataset.lease import Lease
from fondant_spec.shown_text import redact_all
from fondant_spec.spec.component_arguments import bound
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import ALL_REASONS
from fondant_spec.spec.secret_arguments import opened
from fondant_spec.worker.base_components import Component, SetupContext, no_rows
from fondant_spec.worker.component_code import load_module
from fondant_spec.worker.input_rows import InputRows


@dataclass(frozen=True)
class StepContext:
    """A step as its workers see it.

    Attributes:
        step_id: the step's id.
        run_id: the run that the step is part of.
        cache_key: of the step, over its present inputs.
        main: the path of the component's `main.py`.
        class_name: the component's class in it.
        spec: the component's spec.
        arguments: the component's arguments.
        mapping: of the component's fields to the dataset's.
        folder: the folder for all files of the step.
        inputs: what is read, one after the other.
        manifests: locations of the manifests of all inputs.
        rows_per_partition: rows in a partition, if the step makes new ones.
        retry: the reject reasons for which failed rows are retried.
        resume_key: what a finished partition must have in common with this run, besides its input,
            to be kept.
        lease: gives this run the exclusive right to write in the folder; None if the storage
            supports no leases.
    """

    step_id: str
    run_id: str
    cache_key: str
    main: str
    class_name: str
    spec: ComponentSpec
    arguments: Mapping[str, Any]
    mapping: FieldMapping
    folder: StepFolder
    inputs: tuple[InputRows, ...] = ()
    manifests: tuple[str, ...] = ()
    rows_per_partition: int = 1000
    retry: tuple[str, ...] = ()
    resume_key: str = ""
    lease: Lease | None = None

    def retries(self, reason: str) -> bool:
        """Return whether rows that failed for a reason are to be retried."""
        return ALL_REASONS in self.retry or reason in self.retry

    def made_from(self, digest: str = "") -> str:
        """Return the `made_from` of a checkpoint, given the input partition's digest."""
        return f"{digest}-{self.resume_key}"

    def check_lease(self) -> None:
        """Check, before a commit, that no other run has taken over.

        Raises:
            LeaseLostError: one has.
        """
        if self.lease is not None:
            self.lease.check()

    def made_by(self, component: Component) -> dict[str, Any]:
        """Return the field metadata, by names in the dataset, as it would be read from a file."""
        names = self.mapping.output_names
        metadata = component.field_metadata()
        named = {names[field]: dict(values) for field, values in metadata.items() if field in names}
        return dict(redact_all(json.loads(json.dumps(named))))

    def component_class(self) -> type[Component]:
        """Return the component's class, loaded from its `main.py` if necessary."""
        main = sys.modules.get("__main__")
        if getattr(main, "__file__", None) == self.main and hasattr(main, self.class_name):
            return getattr(main, self.class_name)  # type: ignore[no-any-return]
        return getattr(load_module(Path(self.main).parents[1]), self.class_name)  # type: ignore[no-any-return]

    def _opened_arguments(self) -> dict[str, Any]:
        """Return the arguments with references to secrets resolved, in the worker process only."""
        declared = self.spec.arguments
        return {
            name: opened(name, value) if declared[name].by_reference else value
            for name, value in self.arguments.items()
        }

    @contextmanager
    def component(self) -> Iterator[Any]:
        """Set up the component, and tear it down afterwards."""
        component_class = self.component_class()
        component = component_class(**bound(component_class, self._opened_arguments()))
        context = SetupContext(
            input_fields=self.inputs[0].fields if self.inputs else {},
            output_fields=frozenset(self.mapping.outputs),
            output_types=self.mapping.outputs,
            dataset_fields=self.mapping.available,
            output_directory=self.folder.output,
            unfinished_directory=self.folder.unfinished,
            cache_key=self.cache_key,
            manifests=self.manifests,
            first_rows=self.inputs[0].head if self.inputs else no_rows,
        )
        try:
            component.setup(context)
            yield component
        finally:
            component.teardown()
