"""Writes each component's README from its spec, so that the two cannot differ.

    python scripts/component_readmes.py          write them
    python scripts/component_readmes.py --check  exit with 1, and say which, if any is out of date

The text above the marker is hand-written and kept. Everything below it is generated.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fondant_spec.spec.arguments import Argument
from fondant_spec.spec.component_spec import ComponentSpec, FieldSpec
from fondant_spec.spec.executor_options import SPEC_FILE
from fondant_spec.spec.types import type_to_json
from fondant_spec.spec.usage import accepted_values

ROOT: Final = Path(__file__).parents[1]
MARKER: Final = "<!-- From here on made by scripts/component_readmes.py from the spec. -->"

_CARDINALITY: Final = {
    "maps": "Every row that comes in goes out, or is a reject.",
    "filters": "Rows are left out; those that stay keep their ids.",
    "explodes": "One row becomes any number of rows, with ids of their own.",
}


def readme(folder: Path, written: str) -> str:
    """Return the README of the component in `folder`; `written` is the present one, or empty."""
    spec = ComponentSpec.from_file(folder)
    by_hand = written.partition(MARKER)[0].strip()
    if not by_hand.startswith("# "):
        by_hand = f"# {spec.name}\n\n{by_hand}".strip()
    return f"{by_hand}\n\n{MARKER}\n\n{_generated(spec)}"


def _generated(spec: ComponentSpec) -> str:
    parts = [
        spec.description,
        f"*{_kind(spec)}*",
        _fields("Consumes", spec.consumes, any_more=spec.consumes_any),
        _fields("Produces", spec.produces, any_more=spec.produces_any),
        _arguments(spec.arguments),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind(spec: ComponentSpec) -> str:
    if spec.loads:
        return "Brings rows into a pipeline."
    if not spec.produces and not spec.produces_any:
        return "Adds no fields to the rows."
    return _CARDINALITY[spec.cardinality]


def _fields(title: str, fields: Mapping[str, FieldSpec], *, any_more: bool) -> str:
    if not fields and not any_more:
        return ""
    rows = [
        (f"`{name}`", _type_name(type_to_json(field.type)), _field_text(field))
        for name, field in fields.items()
    ]
    if any_more:
        rows.append(("…", "any", "Further fields that the step names."))
    return f"## {title}\n\n{_table(('field', 'type', ''), rows)}"


def _field_text(field: FieldSpec) -> str:
    return f"Optional. {field.description}".strip() if field.optional else field.description


def _type_name(value: Mapping[str, Any]) -> str:
    if "items" in value:
        size = f" of {value['size']}" if "size" in value else ""
        return f"array{size} of {_type_name(value['items'])}"
    return f"{value['type']} ({value['format']})" if "format" in value else str(value["type"])


def _arguments(arguments: Mapping[str, Argument]) -> str:
    if not arguments:
        return ""
    rows = [
        (f"`{name}`", argument.type, _default(argument), _argument_text(argument))
        for name, argument in arguments.items()
    ]
    return f"## Arguments\n\n{_table(('argument', 'type', 'default', ''), rows)}"


def _default(argument: Argument) -> str:
    plain = argument.required or argument.default is None
    return argument.default_text if plain else f"`{argument.default_text}`"


def _argument_text(argument: Argument) -> str:
    words = f"{argument.description} {accepted_values(argument, '`')}".strip()
    return words if argument.affects_result else f"{words} No part of the cache key."


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    rule = tuple("---" for _ in header)
    return "\n".join(_line(row) for row in (header, rule, *rows))


def _line(cells: tuple[str, ...]) -> str:
    words = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(words)} |".replace("|  |", "| |")


def main() -> int:
    """Write the READMEs, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, end with 1 if needed")
    check = parser.parse_args().check
    stale = []
    for spec in sorted((ROOT / "components").glob(f"*/{SPEC_FILE}")):
        file = spec.parent / "README.md"
        written = file.read_text(encoding="utf-8") if file.exists() else ""
        wanted = readme(spec.parent, written)
        if wanted != written:
            stale.append(str(file.relative_to(ROOT)))
            if not check:
                file.write_text(wanted, encoding="utf-8")
    print("\n".join(stale) or "all component READMEs are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
