"""A step as its workers see it: everything a worker process needs, and can be sent."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.field_mapping import Binding
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.spec.arguments import ALL_REASONS
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.worker.base_components import Component, WriteComponent
from fondant_spec.worker.component_code import load_module
from fondant_spec.worker.input_rows import Source


@dataclass(frozen=True)
class Work:
    """A step as its workers see it. `folder` is where all its files go.

    `sources` are read one after the other. `salt` is what a finished partition must have in common
    with this work, beside its input, to count when the step is run again. `retry` are the reasons
    of failed rows that are tried once more.
    """

    main: str
    class_name: str
    spec: ComponentSpec
    arguments: Mapping[str, Any]
    binding: Binding
    folder: str
    where: str
    salt: str = ""
    sources: tuple[Source, ...] = ()
    rows_per_partition: int = 1000
    retry: tuple[str, ...] = ()

    def retries(self, reason: str) -> bool:
        """Return whether rows that failed for a reason are to be tried again."""
        return ALL_REASONS in self.retry or reason in self.retry

    def made_from(self, digest: str = "") -> str:
        """Return what a record says it was made from, given the digest of the input partition."""
        return f"{digest}-{self.salt}"

    @property
    def data(self) -> str:
        """Where the partitions go."""
        return storage.join(self.folder, "data")

    @property
    def staged(self) -> str:
        """Where partitions wait to be gathered."""
        return storage.join(self.folder, "staged")

    @property
    def rejects(self) -> str:
        """Where the rejects go."""
        return storage.join(self.folder, "rejects")

    @property
    def records(self) -> str:
        """Where the records go."""
        return storage.join(self.folder, "records")

    def component_class(self) -> type[Component]:
        """Return the component's class, from its `main.py` if it is not loaded already."""
        main = sys.modules.get("__main__")
        if getattr(main, "__file__", None) == self.main and hasattr(main, self.class_name):
            return getattr(main, self.class_name)  # type: ignore[no-any-return]
        return getattr(load_module(Path(self.main).parents[1]), self.class_name)  # type: ignore[no-any-return]

    @contextmanager
    def component(self) -> Iterator[Component]:
        """Set up the component, and tear it down afterwards."""
        component = self.component_class()(**self.arguments)
        component.input_fields = dict(self.sources[0].inputs) if self.sources else {}
        component.output_fields = frozenset(self.binding.outputs)
        component.output_types = dict(self.binding.outputs)
        component.rejects = Rejects()
        if isinstance(component, WriteComponent):
            component.output_directory = storage.join(self.folder, "output")
        try:
            component.setup()
            yield component
        finally:
            component.teardown()
