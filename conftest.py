"""Configuration of all tests: parallel workers, and the documents whose code also runs."""

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

# Tests run in parallel, one process per core. More threads would only wait for each other, and
# OpenMP's spin at full speed while they do. Subprocesses of tests inherit this.
os.environ["OMP_NUM_THREADS"] = "1"

# Tests import classes of transformers by name, which requires an importable torchvision.
prepare_torch()

# The same examples every time, and no deadline per example: the machine may be shared.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

# A test that tries very many inputs takes longer than the timeout of the others.
if "FUZZ_EXAMPLES" in os.environ:
    os.environ.setdefault("PYTEST_TIMEOUT", "0")

# A shell makes background processes ignore Ctrl-C, which some tests send.
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
    """Start with the slowest files, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Restore the environment after each test: a Dask cluster has one thread for all tests."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Have torch sum in one thread, whatever an earlier test set: more would round differently."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder to run a document's code in, with the components and the examples."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("components", "examples"):
        (folder / name).symlink_to(ROOT / name)
    with contextlib.chdir(folder):
        yield folder
