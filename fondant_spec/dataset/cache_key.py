"""Cache keys: what a step's result depends on, and nothing else.

A key is made of the component's code, the resolved arguments (with the content of local files that
they name, and the commits that moving revisions stand for), the field mappings and the keys of the
inputs. Not of the hardware, nor of the runner: all runners find each other's results.
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
    """Return what the cache key of a step is made of, as JSON that a person can compare.

    `rows_per_partition` counts where the step decides on its partitions; None elsewhere.
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
    """Return the cache key for its parts: 16 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def _fingerprint(value: Any) -> Any:
    """Return the content's digest of what a local path or pattern names; other values as they are.

    A path that exists is meant as it is written, whatever characters it has; a pattern stands for
    the files that it matches now.
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
    """Yield all files below a folder, also behind links, each folder once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()  # a link to a folder above it
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def _sample(file: Path) -> bytes:
    """Return a file's digest; of one over 64 MB its size, beginning, end and time of change.

    Without the time an edit between the ends would not count; with it a copy is another file.
    """
    stat = file.stat()
    if stat.st_size <= _WHOLE_FILE:
        return hashlib.sha256(file.read_bytes()).digest()
    state = f"{stat.st_size} {stat.st_mtime_ns}\0".encode()
    with file.open("rb") as content:
        head = content.read(_SAMPLE)
        content.seek(-_SAMPLE, os.SEEK_END)
        return hashlib.sha256(state + head + content.read()).digest()
