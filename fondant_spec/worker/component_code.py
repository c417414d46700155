"""Loading a component's code: `main.py`, with its sibling modules importable as in a program.

Components may name their modules freely, so two of them may have a `helper.py`. In a process that
runs more than one component (a Dask worker, a test), the modules of one are set aside before those
of another are loaded.
"""

import hashlib
import importlib.util
import sys
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from threading import RLock
from types import ModuleType

from fondant_spec.errors import InvalidComponentError
from fondant_spec.worker.base_components import Component


@dataclass
class _Code:
    """The code in one `src` folder, as it was when loaded; `modules` by name."""

    folder: Path
    modules: dict[str, ModuleType] = field(default_factory=dict)

    def enter(self) -> None:
        """Put this code's modules into `sys.modules`."""
        sys.path.insert(0, str(self.folder))
        sys.modules.update(self.modules)

    def leave(self) -> None:
        """Take this code's modules out of `sys.modules`."""
        if str(self.folder) in sys.path:
            sys.path.remove(str(self.folder))
        own = [name for name, module in list(sys.modules.items()) if _lies_in(module, self.folder)]
        self.modules |= {name: sys.modules.pop(name) for name in own}


class _Shelf:
    """The code loaded in this process; that of one component is active."""

    def __init__(self) -> None:
        # Other threads must not find a module that one thread has only partly loaded.
        self._lock = RLock()
        self._codes: dict[tuple[Path, str], _Code] = {}
        self._in_use: _Code | None = None

    def load(self, folder: Path, name: str) -> ModuleType:
        """Return module `name` of the code in `folder`, as the files are now."""
        with self._lock:
            key = (folder, _digest(folder))
            code = self._codes.setdefault(key, _Code(folder))
            if code is not self._in_use:
                if self._in_use is not None:
                    self._in_use.leave()
                self._in_use = code
                code.enter()
            return self._main(code) if name == "main" else import_module(name)

    def _main(self, code: _Code) -> ModuleType:
        """Return `main.py` under a name of its own, since `import main` must not find it."""
        name = f"fondant_component_{code.folder.parent.name}"
        if name in code.modules:
            return code.modules[name]
        path = code.folder / "main.py"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            msg = f"{path} is not a Python file."
            raise ImportError(msg)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]  # so that the next import raises the error, too
            raise
        code.modules[name] = module
        return module


_shelf = _Shelf()


def load_module(source: Path, name: str = "main") -> ModuleType:
    """Return a module of the component in the folder `source`: its `main`, or a sibling."""
    return _shelf.load((source / "src").resolve(), name)


def component_class(source: Path) -> type[Component]:
    """Return the component class that a folder's `main.py` defines.

    Raises:
        InvalidComponentError: there is no `main.py`, or it defines no component.
    """
    if not (source / "src" / "main.py").is_file():
        msg = f"{source} is no folder of a component: it has no src/main.py."
        raise InvalidComponentError(msg)
    module = load_module(source)
    own = (v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__)
    for value in own:
        if isinstance(value, type) and issubclass(value, Component) and not isabstract(value):
            return value
    msg = f"{source}/src/main.py defines no component class."
    raise InvalidComponentError(msg)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """Return whether a module's file, or a package's folder, is in a folder."""
    spec = vars(module).get("__spec__")
    if spec is None:
        return False
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    return any(Path(place).is_relative_to(folder) for place in places if place)
