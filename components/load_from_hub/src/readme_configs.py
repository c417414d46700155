"""The configurations in a dataset's README: which files belong to which split.

The README is untrusted. Its patterns may only name files below the dataset; any other is rejected
before it is looked up.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from declared_features import Declared, of_readme

from fondant_spec.bounded_yaml import read_yaml
from fondant_spec.errors import InputDataError

README: Final = "README.md"
MOST_BYTES: Final = 1 << 20
"""The most that is read of a README."""

_FRONT_MATTER: Final = re.compile(r"\A\ufeff?---[ \t\r]*\n(.*?)\n---[ \t\r]*(?:\n|\Z)", re.DOTALL)
_DEFAULT: Final = "default"
_OUTSIDE: Final = re.compile(
    r"^[/~]|::|[a-z][a-z0-9+.-]*:/|(?:^|[/\\])\.\.(?:[/\\]|$)|^[a-z]:\\", re.IGNORECASE
)
_GLOB: Final = re.compile(r"\*\*/?|\*|\?|\[!?[^\]/]+\]")

Patterns = dict[str, list[str]]


def front_matter(text: str) -> Mapping[str, Any]:
    """Parse the front matter of a README; return an empty mapping if it is not YAML."""
    found = _FRONT_MATTER.match(text)
    try:
        value = read_yaml(found[1]) if found else None
    except ValueError:
        value = None
    return value if isinstance(value, Mapping) else {}


def split_patterns(name: str, matter: Mapping[str, Any], config: str | None) -> Patterns | None:
    """Return the patterns of files by split; None if the README names no files.

    Raises:
        InputDataError: there is no such configuration, none is named although there are several, or
            a pattern leads out of the dataset.
    """
    configs = configurations(name, matter)
    return _patterns(_chosen(name, configs, config)) if configs else None


def configurations(name: str, matter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the configurations for which the README names files.

    Raises:
        InputDataError: a pattern leads out of the dataset.
    """
    configs = [c for c in _listed(matter.get("configs")) if isinstance(c, Mapping)]
    configs = [c for c in configs if c.get("data_files") or c.get("data_dir")]
    for one in configs:
        for patterns in _patterns(one).values():
            _check_inside(name, patterns)
    return configs


def _check_inside(name: str, patterns: Sequence[str]) -> None:
    """Check that patterns name files below the dataset.

    Raises:
        InputDataError: naming one that does not.
    """
    outside = next((p for p in patterns if _OUTSIDE.search(p)), None)
    if outside is not None:
        problem = f"its README names {outside!r}, which is not below the dataset"
        msg = f"{name}: {problem}; that is not read."
        raise InputDataError(msg)


def declared_features(matter: Mapping[str, Any], config: str | None) -> Declared:
    """Return the README's declaration of the columns."""
    infos = [i for i in _listed(matter.get("dataset_info")) if isinstance(i, Mapping)]
    chosen = [i for i in infos if i.get("config_name", _DEFAULT) == (config or _DEFAULT)]
    if not chosen and config is None and len(infos) == 1:
        chosen = infos
    return of_readme(chosen[0].get("features")) if chosen else Declared()


def matching(name: str, patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the files that match the patterns, each once, in the order of the patterns.

    Raises:
        InputDataError: a pattern matches no file.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = [pattern] if pattern in names else _globbed(pattern, names)
        if not matches:
            msg = f"{name}: its README names {pattern!r}, but there is no such file."
            raise InputDataError(msg)
        found.update(dict.fromkeys(matches))
    return list(found)


def _globbed(pattern: str, names: Sequence[str]) -> list[str]:
    regex, end = "", 0
    for wild in _GLOB.finditer(pattern):
        regex += re.escape(pattern[end : wild.start()]) + _regex(wild.group())
        end = wild.end()
    # Arrow's engine takes time linear in the name; Python's may take exponential time.
    whole = f"(?s)\\A(?:{regex}{re.escape(pattern[end:])})\\z"
    column = pa.array([name.encode(errors="replace").decode() for name in names], pa.string())
    try:
        return list(compress(names, pc.match_substring_regex(column, whole).to_pylist()))
    except (pa.ArrowInvalid, UnicodeEncodeError):  # a range with its ends swapped
        return []


def _regex(wild: str) -> str:
    if wild.startswith("["):
        inner = wild[1:-1].replace("\\", "\\\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}[wild]


def _chosen(
    name: str, configs: Sequence[Mapping[str, Any]], config: str | None
) -> Mapping[str, Any]:
    by_name = {str(c.get("config_name", _DEFAULT)): c for c in configs}
    if config in by_name:
        return by_name[config]
    known = ", ".join(by_name)
    if config is not None:
        msg = f"{name}: there is no configuration {config!r}. Configurations: {known}."
        raise InputDataError(msg)
    if len(by_name) == 1:
        return next(iter(by_name.values()))
    first = next((c for c in configs if c.get("default")), by_name.get(_DEFAULT))
    if first is None:
        msg = f"{name}: has several configurations; name one as config: {known}."
        raise InputDataError(msg)
    return first


def _patterns(config: Mapping[str, Any]) -> Patterns:
    files = config.get("data_files") or "**"
    folder = str(config.get("data_dir") or "").removeprefix("./").rstrip("/")
    if isinstance(files, Mapping):
        files = [{"split": split, "path": path} for split, path in files.items()]
    found: Patterns = {}
    for entry in _listed(files):
        split = str(entry.get("split", "train")) if isinstance(entry, Mapping) else "train"
        paths = entry.get("path") if isinstance(entry, Mapping) else entry
        for path in map(str, _listed(paths)):
            below = path.removeprefix("./")
            found.setdefault(split, []).append(f"{folder}/{below}" if folder else below)
    return found


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
