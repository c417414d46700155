"""Dependencies are declared in one place, and constraints.txt pins all of them."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
COMPONENTS = {spec.parent.name for spec in (ROOT / "components").glob("*/fondant_component.yaml")}
OWNERS = packages_distributions()
PINS = {
    canonicalize_name(name): version
    for name, version in (
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
    )
}


def test_requirements_are_made_from_the_extras():
    """Making them again changes nothing; if it does, run scripts/requirements_files.py."""
    script = ROOT / "scripts" / "requirements_files.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("all requirements.txt are up to date\n", 0)


def flattened(name: str) -> set[str]:
    """Return the packages that an extra brings, with those of the extras that it is made of."""
    found: set[str] = set()
    for one in map(Requirement, EXTRAS[name]):
        own = one.name == PROJECT["name"]
        found |= {n for extra in one.extras for n in flattened(extra)} if own else {one.name}
    return found


def test_the_extra_of_all_components():
    """`components` brings what each of them needs, but open_clip, which is an extra of its own."""
    each = {name for component in COMPONENTS for name in flattened(component)}
    assert each - flattened("components") == {"open_clip_torch", "torchvision"}
    assert flattened("components") < each
    assert flattened("open_clip") - flattened("components") == {"open_clip_torch", "torchvision"}


def brought(names: set[str]) -> set[str]:
    """Return packages with those that they need in turn, as far as they are installed here."""
    found: set[str] = set()
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            try:
                needed = map(Requirement, requires(name) or ())
            except PackageNotFoundError:
                continue
            left += [
                canonicalize_name(one.name)
                for one in needed
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return found


@cache
def imports(file: Path) -> set[str]:
    """Return the modules that are imported as soon as a file is: not those within functions."""
    found: set[str] = set()
    left = list(ast.parse(file.read_text(encoding="utf-8")).body)
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            left += node.body
    return found


def loaded(main: Path) -> set[str]:
    """Return the top-level modules of other packages that a program cannot start without."""
    others, seen, left = set(), set(), [main]
    while left:
        file = left.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in imports(file):
            path = Path(*name.split("."))
            here = [
                place
                for root in (main.parent, ROOT)
                for part in (path, *path.parents[:-1])
                for place in (root / part.with_suffix(".py"), root / part / "__init__.py")
                if place.is_file()
            ]
            left += here
            if not here and path.parts[0] not in sys.stdlib_module_names:
                others.add(path.parts[0])
    return others


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_a_component_starts_with_what_its_extra_brings(component):
    """Its image has no other packages: what a module of the toolkit imports counts, too."""
    core = {Requirement(line).name for line in PROJECT["dependencies"]}
    there = brought(core | flattened(component))
    missing = {
        name
        for name in loaded(ROOT / "components" / component / "src" / "main.py")
        if name in OWNERS and not there & set(map(canonicalize_name, OWNERS[name]))
    }
    assert missing == set()


def test_all_is_pinned():
    """Each requirement has a version in constraints.txt that it allows."""
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    wanted = [one for line in lines if (one := Requirement(line)).name != PROJECT["name"]]
    assert len(wanted) > 40
    for one in wanted:
        assert one.specifier.contains(PINS[canonicalize_name(one.name)]), one


def test_pins_are_listed_by_age():
    """The page of pinned versions has each of them once, and no other."""
    page = (ROOT / "docs" / "pinned_versions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d{4}-\d\d \| (.+) \|$", page, re.MULTILINE)
    listed = [one.rsplit(" ", 1) for row in rows for one in row.split(", ")]
    assert len(listed) == len(PINS)
    assert {canonicalize_name(name): version for name, version in listed} == PINS


def test_what_those_need_is_pinned():
    """So is what the pinned packages need in turn, as far as they are installed here."""
    unpinned = set()
    for name in PINS:
        try:
            needed = map(Requirement, requires(name) or ())
        except PackageNotFoundError:
            continue
        for one in needed:
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                unpinned.add(canonicalize_name(one.name))
    assert unpinned - PINS.keys() <= {"setuptools"}
