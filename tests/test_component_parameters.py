"""A rule for all components: `__init__` takes the arguments of the spec, with the same defaults."""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from fondant_spec.spec.arguments import REQUIRED, Argument
from fondant_spec.spec.component_arguments import bound, group_of
from fondant_spec.spec.component_spec import SPEC_FILE, ComponentSpec
from fondant_spec.worker.component_code import component_class

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(
    file.parent
    for place in ("components", "examples", "tests/components")
    for file in (ROOT / place).glob(f"*/{SPEC_FILE}")
)
MOST_PARAMETERS = 12


def parameters(component: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each parameter, and of each field of a group."""
    hints = get_type_hints(component.__init__)
    for name, parameter in signature(component).parameters.items():
        group = group_of(component, name)
        if group is None:
            missing = parameter.default is Parameter.empty
            yield name, hints[name], REQUIRED if missing else parameter.default
            continue
        types_of_fields = get_type_hints(group)
        for field in fields(group):
            default = field.default
            if field.default_factory is not MISSING:
                default = field.default_factory()
            yield (
                field.name,
                types_of_fields[field.name],
                REQUIRED if default is MISSING else default,
            )


def spec_type(annotation: Any) -> str:
    """Return the type of a spec that an annotation stands for."""
    kind = get_origin(annotation) or annotation
    if kind is Literal:
        return type(get_args(annotation)[0]).__name__
    if kind in (str, Path):
        return "str"
    if kind in (Sequence, tuple):
        return "list"
    return "dict" if kind is Mapping else kind.__name__


def alternatives(annotation: Any) -> list[Any]:
    """Return the types that an annotation allows."""
    if get_origin(annotation) in (Union, types.UnionType):
        return list(get_args(annotation))
    return [annotation]


def check(argument: Argument, annotation: Any, default: Any) -> None:
    """Compare an argument with the parameter that takes it."""
    allowed = alternatives(annotation)
    not_none = [one for one in allowed if one is not type(None)]
    assert {spec_type(one) for one in not_none} == {argument.type}
    assert (type(None) in allowed) == (argument.default is None)
    for one in not_none:
        if get_origin(one) is Literal:
            assert get_args(one) == argument.choices
    plain = list(default) if isinstance(default, tuple) else default
    assert plain == argument.default
    assert type(plain) is type(argument.default)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_spec_and_the_parameters_agree(folder: Path) -> None:
    """Every argument has a parameter of its type, its default, and None where that is allowed."""
    spec = ComponentSpec.from_file(folder)
    component = component_class(folder)
    taken = {name: (annotation, default) for name, annotation, default in parameters(component)}
    for name, argument in spec.arguments.items():
        check(argument, *taken[name])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_component_takes_its_arguments(folder: Path) -> None:
    """The arguments of the spec and the parameters are the same, and few enough to read."""
    spec = ComponentSpec.from_file(folder)
    component = component_class(folder)
    values = bound(component, {name: _example(a) for name, a in spec.arguments.items()})
    assert set(values) == set(signature(component).parameters)
    assert len(values) <= MOST_PARAMETERS


def _example(argument: Argument) -> Any:
    if argument.name == "index":
        return "/some/index"  # which, or a service, has to be named
    return "" if argument.required else argument.default


def test_there_are_components_of_all_kinds() -> None:
    """The rule is tested on the components, the examples and those of the tests."""
    assert {folder.parents[1].name for folder in FOLDERS} >= {ROOT.name, "tests"}
    assert len(FOLDERS) > 15
