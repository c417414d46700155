"""What all tests share: how they run side by side, and the documents, whose code runs, too."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from fondant_spec.cpu import cpu_count
from image_toolkit.models.runtime.torch_setup import prepare_torch
from tests import documents

ROOT = Path(__file__).parent

# Tests run side by side, a process a core. More threads would only wait for each other, and
# OpenMP's do so at full speed. What tests start inherits this.
os.environ["OMP_NUM_THREADS"] = "1"

# Tests import classes of transformers by name, which needs torchvision to be importable.
prepare_torch()

# The same examples each time, and no time limit for one: other work may share the machine.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

# A test that is to try very many inputs takes longer than any other may.
if "FUZZ_EXAMPLES" in os.environ:
    os.environ.setdefault("PYTEST_TIMEOUT", "0")

# A shell has what it starts in the background ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), documents.parse_files, SkipParser()],
    pattern="*.md",
    setup=documents.start,
    teardown=documents.end,
    fixtures=["page"],
).pytest()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start as many workers as this process may use cores, for `-n auto`."""
    return cpu_count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Have each test leave the environment as it was: a cluster of Dask has one thread for all."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Have torch add up in one thread, whatever a test before has set: others round otherwise."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that a document's code runs in, with the components and the examples."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("components", "examples"):
        (folder / name).symlink_to(ROOT / name)
    with contextlib.chdir(folder):
        yield folder
