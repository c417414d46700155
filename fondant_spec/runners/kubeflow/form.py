"""The host's submission form: a step's arguments as typed fields.

The host sorts fields by name, so names determine the order: the base path, then what the pipeline
sets or the component's spec calls prominent (`main_`), step by step, then the rest (`more_`). A
field cannot hold None, so an empty text stands for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.spec.arguments import Argument

BASE_PATH: Final = "base_path"
FURTHER: Final = "further_arguments"
"""The executor's option that takes arguments in one JSON object."""

NOTE: Final = (
    "Fields are sorted: main_* is what this pipeline sets, more_* the defaults of its components. "
    "An empty text is no value."
)

_KFP_TYPES: Final = {
    "str": "String",
    "int": "Integer",
    "float": "Float",
    "bool": "Boolean",
    "list": "JsonArray",
    "tuple": "JsonArray",
    "set": "JsonArray",
    "dict": "JsonObject",
}


@dataclass(frozen=True)
class Field:
    """A field of the form: its name there, the step input it is for, and its possible values.

    `type` is Kubeflow's name of it; `literals` are all possible values, if there are few.
    """

    name: str
    input: str
    type: str
    default: Any
    literals: tuple[Any, ...] = ()


def fields_of(plan: Plan) -> dict[str, tuple[Field, ...]]:
    """Return the fields of each step by its id."""
    digits = len(str(len(plan.steps)))
    return {
        planned.id: tuple(_fields(planned, f"{number:0{digits}}_{planned.id.replace('-', '_')}__"))
        for number, planned in enumerate(plan.steps, start=1)
    }


def _fields(planned: PlannedStep, place: str) -> Iterator[Field]:
    """Yield the fields of a step.

    A sliced step has a field only for each prominent argument, and one for all others: each slice
    repeats every field several times, in a workflow of limited size.
    """
    spread = planned.step.fan_out > 1
    for name, value in planned.arguments.items():
        argument = planned.spec.arguments[name]
        main = argument.prominent or value != argument.default
        if main or not spread:
            yield _field(f"{'main' if main else 'more'}_{place}{name}", argument, value)
    if spread:
        yield Field(f"more_{place}{FURTHER}", FURTHER, "JsonObject", {})


def _field(name: str, argument: Argument, value: Any) -> Field:
    choices = (True, False) if argument.type == "bool" else argument.choices
    if value is None:
        words = ("", *map(argument.to_text, choices)) if choices else ()
        return Field(name, argument.name, "String", "", words)
    return Field(name, argument.name, _KFP_TYPES[argument.type], value, tuple(choices))


def literals(fields: Mapping[str, tuple[Field, ...]]) -> dict[str, list[Any]]:
    """Return the values to choose from, by field name, for the fields that have them."""
    return {
        field.name: list(field.literals)
        for of_step in fields.values()
        for field in of_step
        if field.literals
    }
