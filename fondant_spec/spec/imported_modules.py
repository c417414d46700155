"""The modules that a component's code imports from packages registered as component code.

A package registers under the entry-point group `fondant_spec.component_packages`, as the toolkit of
this repository does. Its modules count as code of the components that import them; other packages
are dependencies. Imports are found by parsing, without importing anything: every `import`
statement, also in a function or under `TYPE_CHECKING`, and those in the `__init__.py` of each
parent package. Not found are modules imported under a name computed at run time, and data files
beside modules: a component keeps both in its own `src`.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Final

from fondant_spec.errors import InvalidComponentError

GROUP: Final = "fondant_spec.component_packages"


@dataclass(frozen=True)
class SourceFile:
    """A parsed file: the SHA-256 of its bytes and, if it is Python, its imports."""

    sha256: str
    imports: tuple[ast.Import | ast.ImportFrom, ...] = ()


@dataclass(frozen=True)
class _Module:
    """A module's file (None for a folder without `__init__.py`), and where its submodules are."""

    file: Path | None
    folders: tuple[Path, ...] = ()


def imported_modules(files: Iterable[Path]) -> dict[str, Path]:
    """Return the files of the registered packages' modules that Python files import, by name.

    Imports are followed transitively.

    Args:
        files: a component's own files; those that are not Python import nothing.

    Raises:
        InvalidComponentError: a module cannot be found, or a file is not valid Python.
    """
    search = _Search(_registered())
    for file in files:
        search.follow(file, package="")
    return search.files


def read_source(path: Path) -> SourceFile:
    """Read and parse a file; cached until the file changes.

    Raises:
        InvalidComponentError: it ends in `.py` and is not valid Python.
    """
    stat = path.stat()
    return _read(path, (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=4096)
def _read(path: Path, _state: tuple[int, ...]) -> SourceFile:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix != ".py":
        return SourceFile(sha256)
    try:
        return SourceFile(sha256, tuple(_import_statements(ast.parse(content).body)))
    except (SyntaxError, ValueError) as error:
        msg = f"{path}: not valid Python ({error}); correct it, or give the file another ending."
        raise InvalidComponentError(msg) from None


def _import_statements(nodes: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports among statements, recursively; expressions contain none."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _import_statements(getattr(node, part, ()))


@lru_cache(maxsize=1)
def _registered() -> tuple[str, ...]:
    packages = tuple(sorted({entry.value for entry in entry_points(group=GROUP)}))
    if not packages:
        msg = (
            "the installed fondant-spec is older than its code, so what components import cannot "
            "be known; install it again, such as with: pip install --editable ."
        )
        raise InvalidComponentError(msg)
    return packages


class _Search:
    """Follows imports from file to file, each module once. `files` are those found, by name."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.files: dict[str, Path] = {}
        self._packages = packages
        self._modules: dict[str, _Module | None] = {}

    def follow(self, file: Path, package: str) -> None:
        """Find everything that a file imports; `package` is the base of its relative imports."""
        for statement in read_source(file).imports:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    self._require(alias.name, file)
            elif not statement.level or package:  # otherwise from the component's own package
                self._follow_from(statement, file, package)

    def _follow_from(self, statement: ast.ImportFrom, file: Path, package: str) -> None:
        relative = "." * statement.level + (statement.module or "")
        try:
            origin = resolve_name(relative, package)
        except ImportError:
            raise InvalidComponentError(_missing(file, relative)) from None
        self._require(origin, file)
        for alias in statement.names:
            if alias.name == "*":
                for name in self._submodules(origin):
                    self._take(f"{origin}.{name}")
            else:  # a submodule, or a name in the module itself
                self._take(f"{origin}.{alias.name}")

    def _require(self, name: str, file: Path) -> None:
        if not self._take(name):
            raise InvalidComponentError(_missing(file, name))

    def _take(self, name: str) -> bool:
        """Add a module if it counts as code; return False if it should exist and does not."""
        return self._add(name) if self._counts(name) else True

    def _add(self, name: str) -> bool:
        if name in self.files:
            return True
        module = self._module(name)
        if module is None:
            return False
        if parent := name.rpartition(".")[0]:
            self._add(parent)  # Python also runs the parent packages
        if module.file is not None:
            self.files[name] = module.file
            self.follow(module.file, name if module.folders else parent)
        return True

    def _counts(self, name: str) -> bool:
        return any(name == own or name.startswith(f"{own}.") for own in self._packages)

    def _submodules(self, name: str) -> list[str]:
        module = self._module(name) if self._counts(name) else None
        folders = module.folders if module else ()
        names = {entry.stem for folder in folders for entry in folder.iterdir()}
        return sorted(name for name in names if name.isidentifier() and name[:2] != "__")

    def _module(self, name: str) -> _Module | None:
        if name not in self._modules:
            parent, _, last = name.rpartition(".")
            self._modules[name] = self._below(parent, last) if parent else _top_level(name)
        return self._modules[name]

    def _below(self, parent: str, name: str) -> _Module | None:
        above = self._module(parent)
        folders = above.folders if above else ()
        for folder in folders:
            if (folder / name / "__init__.py").is_file():
                return _Module(folder / name / "__init__.py", (folder / name,))
            if (folder / f"{name}.py").is_file():
                return _Module(folder / f"{name}.py")
        loose = tuple(folder / name for folder in folders if (folder / name).is_dir())
        return _Module(None, loose) if loose else None


def _top_level(name: str) -> _Module | None:
    found = find_spec(name)
    if found is None:
        return None
    file = Path(found.origin) if found.origin else None
    return _Module(file, tuple(map(Path, found.submodule_search_locations or ())))


def _missing(file: Path, name: str) -> str:
    return f"{file}: imports {name}, which cannot be found; correct the import, or install it."
