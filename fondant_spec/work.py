"""A step as its workers see it: everything a worker process needs, and can be sent."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final

from fondant_spec import storage
from fondant_spec.arguments import ALL_REASONS
from fondant_spec.binding import Binding
from fondant_spec.component import Component, WriteComponent
from fondant_spec.component_spec import ComponentSpec
from fondant_spec.rejects import Rejects
from fondant_spec.source import Source

_LOADING: Final = RLock()
"""A module that one thread is loading lies half done where another one would find it."""


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
        return getattr(load_main(Path(self.main)), self.class_name)  # type: ignore[no-any-return]

    @contextmanager
    def component(self) -> Iterator[Component]:
        """Set up the component, and tear it down afterwards."""
        component = self.component_class()(**self.arguments)
        component.input_fields = dict(self.sources[0].inputs) if self.sources else {}
        component.output_fields = frozenset(self.binding.outputs)
        component.rejects = Rejects()
        if isinstance(component, WriteComponent):
            component.output_directory = storage.join(self.folder, "output")
        try:
            component.setup()
            yield component
        finally:
            component.teardown()


def load_main(path: Path) -> Any:
    """Import a component's `main.py`, with its siblings importable as they are for a program."""
    name = f"fondant_component_{path.parents[1].name}_{abs(hash(str(path)))}"
    with _LOADING:
        return sys.modules.get(name) or _load(name, path)


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"{path} is not a Python file."
        raise ImportError(msg)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # so that the next one to ask is told the same, not handed a half
        raise
    return module


def component_class(source: Path) -> type[Component]:
    """Return the component class that a folder's `main.py` defines."""
    module = load_main((source / "src" / "main.py").resolve())
    own = (v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__)
    for value in own:
        if isinstance(value, type) and issubclass(value, Component):
            return value
    msg = f"{source}/src/main.py defines no component class."
    raise LookupError(msg)
