"""What the tests of the framework share."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run
from tests.small import COMPONENTS, Enter, command


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
