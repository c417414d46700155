"""Writes each component's requirements.txt from its extra in pyproject.toml.

    python scripts/requirements_files.py          write them
    python scripts/requirements_files.py --check  exit with 1, and say which, if any is out of date

A component's extra has the component's name. The package's own dependencies are left out.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from fondant_spec.spec.executor_options import SPEC_FILE

ROOT: Final = Path(__file__).parents[1]

_OWN: Final = re.compile(r"fondant-spec\[([\w\s,-]+)\]")


def requirements(name: str, extras: Mapping[str, Sequence[str]]) -> str:
    """Return the requirements.txt of the component `name`."""
    header = f"# Made by scripts/requirements_files.py from the extra {name} in pyproject.toml."
    return "\n".join([header, *sorted(set(flattened(name, extras)), key=str.lower)]) + "\n"


def flattened(name: str, extras: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the requirements of an extra, including those of the extras that it refers to."""
    for requirement in extras[name]:
        if own := _OWN.fullmatch(requirement):
            for other in own[1].split(","):
                yield from flattened(other.strip(), extras)
        else:
            yield requirement


def main() -> int:
    """Write the files, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, end with 1 if needed")
    check = parser.parse_args().check
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stale = []
    for spec in sorted((ROOT / "components").glob(f"*/{SPEC_FILE}")):
        file = spec.parent / "requirements.txt"
        wanted = requirements(spec.parent.name, project["optional-dependencies"])
        if not file.exists() or file.read_text(encoding="utf-8") != wanted:
            stale.append(str(file.relative_to(ROOT)))
            if not check:
                file.write_text(wanted, encoding="utf-8")
    print("\n".join(stale) or "all requirements.txt are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
