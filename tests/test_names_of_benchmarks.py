"""What benchmarks and scripts import from this project exists; most of them no test runs."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(file for folder in ("benchmarks", "scripts") for file in ROOT.glob(f"{folder}/*.py"))
OURS = ("benchmarks", "demo", "explorer", "fondant_spec", "image_toolkit", "tests")


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each name that a file imports of this project, wherever it does, and its module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if node.module.split(".")[0] in OURS:
                    yield node.module, alias.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_names_are_there(file):
    """A name that moved is found here, and not by who runs it a month later."""
    for module, name in imported(file):
        found = hasattr(import_module(module), name)
        assert found or import_module(f"{module}.{name}"), f"{module} has no {name}"
