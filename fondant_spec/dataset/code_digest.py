"""The digest of a component's code: what makes its cache keys and its image differ from others.

It covers the component's spec, everything in its `src`, the modules of registered packages that
these import (see `imported_modules`), and the version of the data contract. Not the rest of this
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
"""Raised by one when this framework writes other rows or files for the same code of a component."""

SPEC_FILES: Final = "*.y*ml"
"""The pattern of the names of specs in a component's folder, as images have them too."""


def code_digest(spec: ComponentSpec) -> str:
    """Return the digest of a component's code, or its image where the code is not at hand.

    Raises:
        InvalidComponentError: the code is not valid Python, or imports a module that is not there.
    """
    if spec.source is None or spec.path is None:
        return f"image:{spec.image}"
    return _digest(spec.source, spec.path)


def folder_digests(folder: Path) -> list[str]:
    """Return the digests of the component in a folder: one for each of its specs, by their names.

    Raises:
        InvalidComponentError: the code is not valid Python, or imports a module that is not there.
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
    """Yield the files in a folder, however deep; not hidden ones, which no image has either."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        yield from (Path(place, name) for name in names if name[0] != ".")


if __name__ == "__main__":
    print(",".join(folder_digests(Path(sys.argv[1]).resolve())))  # noqa: T201 - a command line
