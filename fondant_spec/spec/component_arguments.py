"""Binding the arguments of a spec to the parameters of a component's `__init__`.

A parameter receives the argument of its name. One that is annotated with a frozen dataclass is a
group: it receives all arguments named like the dataclass's fields, as one value.

    @dataclass(frozen=True)
    class Rendering:
        image_size: int = 512
        quality: int = 95

    class DownloadImages(StreamTransformComponent):
        def __init__(self, *, rendering: Rendering, retries: int = 2) -> None: ...

takes the arguments `image_size`, `quality` and `retries`. Fields that the spec does not declare
keep their defaults.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, NoReturn

from fondant_spec.errors import InvalidComponentSpecError


def bound(component: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments for constructing a component.

    Args:
        component: The component's class.
        arguments: The values of all arguments that its spec declares.

    Raises:
        InvalidComponentSpecError: `__init__` and the spec do not have the same arguments.
        InvalidArgumentError: a group rejects its values.
    """
    parameters = _parameters(component)
    groups = {name: group for name in parameters if (group := group_of(component, name))}
    _check_taken_once(component, groups, parameters, arguments)
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in groups:
            values[name] = _filled(component, name, groups[name], arguments)
        elif name in arguments:
            values[name] = arguments[name]
        else:
            _refuse(
                component, f"the spec declares no argument for its parameter {parameter.name!r}"
            )
    taken = {field for group in groups.values() for field in _field_names(group)} | set(values)
    rest = {name: value for name, value in arguments.items() if name not in taken}
    if rest and not _takes_any(component):
        _refuse(component, f"no parameter takes the argument {next(iter(rest))!r} of the spec")
    return values | rest


def group_of(component: type, parameter: str) -> type | None:
    """Return the frozen dataclass that a parameter of `__init__` is annotated with, if any."""
    annotation = signature(component).parameters[parameter].annotation
    if isinstance(annotation, str):  # due to `from __future__ import annotations`
        annotation = getattr(component.__init__, "__globals__", {}).get(annotation)  # type: ignore[misc]
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation if annotation.__dataclass_params__.frozen else None  # type: ignore[attr-defined]
    return None


def _parameters(component: type) -> dict[str, Parameter]:
    """Return the named parameters of `__init__`, without `self`."""
    unnamed = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    parameters = signature(component).parameters
    return {name: p for name, p in parameters.items() if p.kind not in unnamed}


def _takes_any(component: type) -> bool:
    return any(p.kind is Parameter.VAR_KEYWORD for p in signature(component).parameters.values())


def _check_taken_once(
    component: type,
    groups: Mapping[str, type],
    parameters: Mapping[str, Parameter],
    arguments: Mapping[str, Any],
) -> None:
    owner = {name: f"the parameter {name!r}" for name in parameters if name not in groups}
    for name, group in groups.items():
        for field in _field_names(group) & set(arguments):
            place = f"the group {name!r}"
            if owner.setdefault(field, place) != place:
                _refuse(component, f"both {owner[field]} and {place} take the argument {field!r}")


def _filled(component: type, name: str, group: type, arguments: Mapping[str, Any]) -> Any:
    """Construct the dataclass of a group from its arguments."""
    values = {field: arguments[field] for field in _field_names(group) if field in arguments}
    missing = [f.name for f in _init_fields(group) if f.name not in values and not _optional(f)]
    if missing:
        _refuse(component, f"the group {name!r} needs {missing[0]!r}, which the spec lacks")
    if not values:
        _refuse(component, f"the spec declares no argument of the group {name!r}")
    return group(**values)


def _init_fields(group: type) -> list[Field[Any]]:
    return [field for field in fields(group) if field.init]


def _field_names(group: type) -> set[str]:
    return {field.name for field in _init_fields(group)}


def _optional(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _refuse(component: type, problem: str) -> NoReturn:
    msg = f"{component.__name__}.__init__: {problem}; make the two agree."
    raise InvalidComponentSpecError(msg)
