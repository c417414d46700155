"""What the tests of the framework share: the small components, and ways to enter them."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.arguments import to_argv
from fondant_spec.component_spec import ComponentSpec
from fondant_spec.executor import run
from fondant_spec.manifest import Manifest
from fondant_spec.testing import write_dataset
from fondant_spec.work import component_class

COMPONENTS = Path(__file__).parent / "components"

Enter = Callable[..., Manifest]


def command(name: str, base: Path, *words: str, **arguments: object) -> list[str]:
    """Return the command that enters a small component, as a runner would start it."""
    spec = ComponentSpec.from_file(COMPONENTS / name)
    return [
        sys.executable,
        str(COMPONENTS / name / "src" / "main.py"),
        "--base_path",
        str(base),
        *words,
        *to_argv(spec.arguments, arguments),
    ]


def start(command: Sequence[str], **options: object) -> "subprocess.Popen[str]":
    """Start a command in a session of its own, with its output captured."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        **options,
    )


@pytest.fixture
def enter(tmp_path: Path) -> Enter:
    """Return a function that runs a small component in this process, by its argument vector."""

    def enter_it(
        name: str,
        after: Manifest | None = None,
        base: Path | str | None = None,
        words: Sequence[str] = (),
        **arguments: object,
    ) -> Manifest:
        argv = command(name, Path(), *words, **arguments)[4:]
        if after is not None:
            argv += ["--input_manifest_path", after.location]
        if "--workers" not in argv:
            argv += ["--workers", "1"]
        return run(
            component_class(COMPONENTS / name), ["--base_path", str(base or tmp_path), *argv]
        )

    return enter_it


def dataset(folder: Path, rows_per_partition: int = 4, **columns: list[object]) -> Manifest:
    """Write columns as a dataset; `number` is of the type that the small components read."""
    types = {"number": pa.int64(), "image": pa.binary()}
    table = pa.table({name: pa.array(v, types.get(name)) for name, v in columns.items()})
    return write_dataset(table, folder, rows_per_partition=rows_per_partition)


def rows(manifest: Manifest) -> list[dict[str, object]]:
    """Return all rows of a dataset with all its fields, read as a later step would."""
    from fondant_spec.partitions import read_batches  # noqa: PLC0415

    return [
        row
        for partition in manifest.partitions
        for batch in read_batches(manifest.fields, manifest.index_location, partition.name)
        for row in batch.to_pylist()
    ]
