"""Cache keys: everything that a step's result depends on, and nothing else.

A key covers the component's code, the resolved arguments (including the content of local files that
they name, and the commits that moving revisions point to), the field mappings and the keys of the
inputs. It excludes hardware and runner, so all runners hit each other's results.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any, Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.code_digest import code_digest
from fondant_spec.dataset.hub_revisions import commits
from fondant_spec.dataset.path_patterns import matches
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.types import json_types

_WHOLE_FILE: Final = 64 << 20
_SAMPLE: Final = 1 << 20
_KEY_LENGTH: Final = 16


def key_parts(
    spec: ComponentSpec,
    arguments: Mapping[str, Any],
    consumes: Mapping[str, str],
    produces: Mapping[str, Any],
    input_keys: Sequence[str],
    rows_per_partition: int | None,
) -> dict[str, Any]:
    """Return the parts of a step's cache key, as JSON that a person can compare.

    `rows_per_partition` is a part if the step chooses its partitions; otherwise None.
    """
    telling = {n: v for n, v in arguments.items() if spec.arguments[n].has_a_say(produces)}
    values = {**telling, **commits(spec, telling)}
    parts: dict[str, Any] = {
        "code": code_digest(spec),
        "arguments": {
            name: _fingerprint(value) if spec.arguments[name].path else value
            for name, value in values.items()
        },
        "consumes": dict(consumes),
        "produces": json_types(produces),
        "inputs": list(input_keys),
    }
    if rows_per_partition is not None:
        parts["rows_per_partition"] = rows_per_partition
    return parts


def cache_key(parts: Mapping[str, Any]) -> str:
    """Hash the parts of a cache key into 16 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def _fingerprint(value: Any) -> Any:
    """Return the content digest of a local path or pattern; other values unchanged.

    A path that exists is taken literally, whatever characters it contains; a pattern stands for the
    files that match it now.
    """
    if not isinstance(value, str) or not value or storage.is_remote(value):
        return value
    path = Path(value)
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in _files_below(path)}
    elif path.exists():
        files = {"": path}
    elif has_magic(value):
        files = {name: Path(name) for name in matches(value)}
    else:
        return value
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        if file.is_file():
            digest.update(os.fsencode(name) + _sample(file))
    return f"content:{digest.hexdigest()}"


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, following links, and visiting each folder once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()  # a link to an ancestor
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def _sample(file: Path) -> bytes:
    """Return a digest of a file; if over 64 MB, of its size, beginning, end and modification time.

    Without the time, an edit in the middle would go unnoticed; with it, a copy is another file.
    """
    stat = file.stat()
    if stat.st_size <= _WHOLE_FILE:
        return hashlib.sha256(file.read_bytes()).digest()
    state = f"{stat.st_size} {stat.st_mtime_ns}\0".encode()
    with file.open("rb") as content:
        head = content.read(_SAMPLE)
        content.seek(-_SAMPLE, os.SEEK_END)
        return hashlib.sha256(state + head + content.read()).digest()
