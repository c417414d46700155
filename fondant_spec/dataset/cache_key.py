"""Cache keys: what a step's result depends on, and nothing else.

A key is made of the component's code, the resolved arguments (with the content of local files that
they name), the field mappings and the keys of the inputs. Not of the hardware, nor of the runner:
all runners find each other's results.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.code_digest import code_digest
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidManifestError
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.types import type_to_json

_WHOLE_FILE: Final = 64 << 20
_SAMPLE: Final = 1 << 20
_KEY_LENGTH: Final = 16


def key_parts(
    spec: ComponentSpec,
    arguments: Mapping[str, Any],
    mappings: Mapping[str, Mapping[str, Any]],
    input_keys: list[str],
) -> dict[str, Any]:
    """Return what the cache key of a step is made of, as JSON that a person can compare.

    `mappings` holds the step's `consumes` and `produces`.
    """
    return {
        "code": code_digest(spec),
        "arguments": {
            name: _fingerprint(value) if spec.arguments[name].path else value
            for name, value in arguments.items()
        },
        **{
            side: {name: _mapped(value) for name, value in mapping.items()}
            for side, mapping in mappings.items()
        },
        "inputs": input_keys,
    }


def cache_key(parts: Mapping[str, Any]) -> str:
    """Return the cache key for its parts: 16 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def committed_manifest(location: str, inputs: Iterable[Manifest]) -> Manifest | None:
    """Return the manifest at a location if it is there and still stands, else None.

    It stands if it was made from the present content of its inputs, and all its files are there in
    their full size.
    """
    if not storage.exists(location):
        return None
    try:
        manifest = Manifest.read(location)
    except InvalidManifestError:
        return None
    return manifest if _stands(manifest, inputs) else None


def _stands(manifest: Manifest, inputs: Iterable[Manifest]) -> bool:
    if [i.digest for i in manifest.inputs] != [m.digest for m in inputs]:
        return False
    if not all(map(storage.exists, manifest.artifacts)):
        return False
    sizes = storage.sizes(manifest.index_location)
    return all(sizes.get(f"{p.name}.parquet") == p.bytes for p in manifest.partitions)


def _fingerprint(value: Any) -> Any:
    """Return the content's digest of a local file or folder; any other value as it is."""
    if not isinstance(value, str) or storage.is_remote(value):
        return value
    path = Path(value)
    if not value or not path.exists():
        return value
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode())
        digest.update(_sample(file))
    return f"content:{digest.hexdigest()}"


def _sample(file: Path) -> bytes:
    """Return a file's digest; of one over 64 MB only its size, beginning and end count."""
    size = file.stat().st_size
    if size <= _WHOLE_FILE:
        return hashlib.sha256(file.read_bytes()).digest()
    with file.open("rb") as content:
        head = content.read(_SAMPLE)
        content.seek(-_SAMPLE, 2)
        return hashlib.sha256(str(size).encode() + head + content.read()).digest()


def _mapped(value: Any) -> Any:
    return value if isinstance(value, str | Mapping) else type_to_json(value)
