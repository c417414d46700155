"""The digest of a component's code, which cache keys and images are identified by.

It covers the component's spec, everything in its `src`, the modules of registered packages that
these import (see `imported_modules`), and the version of the data contract; not the rest of this
framework, nor dependencies. The same code has the same digest in a checkout and in a container,
whatever the Python version.

    python -m fondant_spec.dataset.code_digest FOLDER

prints the digests of a component with each of its specs, separated by commas.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.imported_modules import imported_modules, read_source

DATA_CONTRACT: Final = 1
"""Incremented when the framework writes other rows or files for the same component code."""

SPEC_FILES: Final = "*.y*ml"
"""The glob pattern of spec files in a component's folder, also used in images."""


def code_digest(spec: ComponentSpec) -> str:
    """Return the digest of a component's code, or its image if the code is not available.

    Raises:
        InvalidComponentError: the code is not valid Python, or imports a missing module.
    """
    if spec.source is None or spec.path is None:
        return f"image:{spec.image}"
    return _digest(spec.source, spec.path)


def folder_digests(folder: Path) -> list[str]:
    """Return the digests of the component in a folder: one per spec, sorted by spec file name.

    Raises:
        InvalidComponentError: the code is not valid Python, or imports a missing module.
    """
    specs = sorted(file for file in folder.glob(SPEC_FILES) if file.name[0] != ".")
    return [_digest(folder, spec) for spec in specs]


def _digest(folder: Path, spec: Path) -> str:
    own = [spec, *_files(folder / "src")]
    named = {file.relative_to(folder).as_posix(): file for file in own}
    for name, file in imported_modules(own).items():
        named[f"module {name} {file.name}"] = file
    digest = hashlib.sha256(f"data contract {DATA_CONTRACT}\n".encode())
    for name, file in sorted(named.items()):
        digest.update(f"{name}\0{read_source(file).sha256}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, recursively; hidden ones are skipped, as in images."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        yield from (Path(place, name) for name in names if name[0] != ".")


if __name__ == "__main__":
    print(",".join(folder_digests(Path(sys.argv[1]).resolve())))  # noqa: T201 - a command line
