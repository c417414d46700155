"""Writes docs/api.md from the docstrings of the public modules, so that the two cannot differ.

    python scripts/api_reference.py          write it
    python scripts/api_reference.py --check  exit with 1 if it is out of date

Sections of a docstring become lists; the types of parameters are left to the code.
"""

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "api.md"
MODULES: Final = (
    "fondant_spec.component",
    "fondant_spec.executor",
    "fondant_spec.testing",
    "fondant_spec.pipeline",
    "fondant_spec.runners.command_line",
    "fondant_spec.errors",
)
"""The modules that authors of components and pipelines import from; all others may change."""

_HEAD: Final = """# What you import

Made by `scripts/api_reference.py` from the docstrings. Components import from the first three
modules, pipeline files from the next two; errors are for both. How they are used:
[writing a component](writing_a_component.md), and [`pipeline.py`](../pipeline.py). What stands here
keeps its meaning; what does not may change.
"""
_SECTION: Final = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
_ITEM: Final = re.compile(r"    ([\w., *]+): (.*)")


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(line for name in MODULES for line in _module(name))])


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield from (f"## {name}\n", _prose(module), "")
    for word, value in _public(module):
        yield from (f"### `{word}{_signature(value)}`\n", _prose(value), "")
        if inspect.isclass(value):
            for method, function in _methods(value):
                yield from (f"#### `{word}.{method}{_signature(function)}`\n", _prose(function), "")


def _public(module: Any) -> list[tuple[str, Any]]:
    """Return what a module exports: its `__all__`, or the classes and functions defined in it."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    found = [(name, getattr(module, name)) for name in names]
    return [(name, value) for name, value in found if inspect.getdoc(value) and callable(value)]


def _methods(owner: type) -> list[tuple[str, Any]]:
    """Return the methods and properties that a class adds itself, but not for the runners."""
    members = [(name, getattr(value, "fget", None) or value) for name, value in vars(owner).items()]
    return [
        (name, function)
        for name, function in members
        if not name.startswith("_") and name != "run_in" and inspect.isfunction(function)
    ]


def _signature(value: Any) -> str:
    """Return the names and defaults of parameters; their types are in the code."""
    is_class = inspect.isclass(value)
    if is_class and (issubclass(value, Exception | dict) or inspect.isabstract(value)):
        return ""
    parameters = [
        one.replace(annotation=inspect.Parameter.empty)
        for name, one in inspect.signature(value).parameters.items()
        if name != "self"
    ]
    plain = str(inspect.Signature(parameters))
    return re.sub(r"<factory>|<[^<>]+>|mappingproxy\(\{.*?\}\)", "...", plain)


def _prose(value: Any) -> str:
    """Return a docstring as Markdown, with its sections as lists."""
    lines: list[str] = []
    for line in (inspect.getdoc(value) or "").splitlines():
        if section := _SECTION.fullmatch(line):
            lines += [f"*{section[1]}*", ""]
        elif item := _ITEM.fullmatch(line):
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            lines.append(line if not line.startswith(" ") else f"  {line.strip()}")
    return "\n".join(lines)


def main() -> int:
    """Write the page, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, end with 1 if needed")
    check = parser.parse_args().check
    wanted = page()
    fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == wanted
    if not (fresh or check):
        PAGE.write_text(wanted, encoding="utf-8")
    state = "up to date" if fresh else "out of date" if check else "written"
    print(f"docs/api.md is {state}")
    return int(check and not fresh)


if __name__ == "__main__":
    sys.exit(main())
