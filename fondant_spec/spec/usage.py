"""The `--help` text of a component, generated from its spec."""

from collections.abc import Iterable
from textwrap import fill, indent
from typing import Final

from fondant_spec.spec.arguments import Argument
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS

_WIDTH: Final = 88

_HEAD: Final = """\
usage: main.py --base_path URL [--NAME VALUE ...]

{name}: {description}

A value follows its name as one word: a text as it is, anything else as JSON.
"""


def usage(spec: ComponentSpec) -> str:
    """Return the help text of a component: its own arguments, and the executor's."""
    head = _HEAD.format(name=spec.name, description=" ".join(spec.description.split()))
    paragraphs = [fill(line, _WIDTH) for line in head.splitlines()]
    sections = [
        _section("arguments of the component", spec.arguments.values()),
        _section("arguments of the executor", EXECUTOR_ARGUMENTS.values()),
    ]
    return "\n".join([*paragraphs, *filter(None, sections)])


def accepted_values(argument: Argument, quote: str = "") -> str:
    """Describe which values of its type an argument accepts, such as `One of a, b.`, or nothing.

    Choices and patterns are enclosed in `quote`.
    """
    if argument.choices:
        return f"One of {', '.join(f'{quote}{choice}{quote}' for choice in argument.choices)}."
    bounds = argument.bounds.describe(quote)
    if not bounds:
        return ""
    of_items = argument.type in ("list", "tuple", "set")
    return f"Each {bounds}." if of_items else f"{bounds[0].upper()}{bounds[1:]}."


def _section(title: str, arguments: Iterable[Argument]) -> str:
    entries = "".join(map(_entry, arguments))
    return f"\n{title}:\n{entries.rstrip()}" if entries else ""


def _entry(argument: Argument) -> str:
    default = argument.default_text
    head = f"  --{argument.name} {argument.type.upper()}  "
    head += f"({default})" if argument.required else f"(default: {default})"
    text = " ".join(f"{argument.description} {accepted_values(argument)}".split())
    return f"{head}\n{indent(fill(text, _WIDTH - 6), ' ' * 6)}\n" if text else f"{head}\n"
