"""The reader of the arguments in a component's spec."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError, InvalidComponentSpecError
from fondant_spec.spec.arguments import ARGUMENT_TYPES, REQUIRED, Argument
from fondant_spec.spec.bounds import BOUND_KEYS, read_bounds
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS
from fondant_spec.spec.types import reject_unknown_keys

_ARGUMENT_KEYS: Final = {
    "type",
    "items",  # what Fondant's specs say of a list's items; neither its reader nor ours uses it
    "description",
    "default",
    "choices",
    "path",
    "hub",
    "neighbours",
    "output",
    "by_reference",
    "affects_result",
    "prominent",
    "revision_of",
    "names_fields",
    "needed_for",
    *BOUND_KEYS,
}


def read_arguments(value: Any, where: str) -> dict[str, Argument]:
    """Return the arguments that a spec declares; `where` names the spec in errors.

    Raises:
        InvalidComponentSpecError: with the first rule that the content breaks.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f"{where}: `args` must be a mapping of argument name to its type and description."
        raise InvalidComponentSpecError(msg)
    arguments = {
        name: _argument(name, content, f"{where}: args.{name}") for name, content in value.items()
    }
    for name, argument in arguments.items():
        if argument.revision_of and argument.revision_of[1] not in arguments:
            source = argument.revision_of[1]
            msg = f"{where}: args.{name}: `revision_of` names {source!r}, which is no argument."
            raise InvalidComponentSpecError(msg)
    return arguments


def _argument(name: Any, content: Any, where: str) -> Argument:
    if not isinstance(name, str) or not name.isidentifier() or name in EXECUTOR_ARGUMENTS:
        msg = f"{where}: an argument needs a name of letters, digits and `_` that is not reserved."
        raise InvalidComponentSpecError(msg)
    if not isinstance(content, dict):
        msg = f"{where}: must be a mapping with a `type`, such as `{{type: int, default: 1}}`."
        raise InvalidComponentSpecError(msg)
    reject_unknown_keys(content, _ARGUMENT_KEYS, where)
    if content.get("type") not in ARGUMENT_TYPES:
        msg = f"{where}: `type` must be one of {', '.join(ARGUMENT_TYPES)}."
        raise InvalidComponentSpecError(msg)
    for key in ("path", "output", "by_reference"):
        if content.get(key) and content["type"] != "str":
            msg = f"{where}: `{key}` is for an argument of type str, which names one thing."
            raise InvalidComponentSpecError(msg)
    choices = content.get("choices", [])
    if not isinstance(choices, list):
        msg = f"{where}: `choices` must be a list of values."
        raise InvalidComponentSpecError(msg)
    default = content.get("default", REQUIRED)
    argument = Argument(
        name=name,
        type=content["type"],
        description=str(content.get("description", "")).strip(),
        # Fondant's specs spell "no value" as the text None.
        default=None if default == "None" else default,
        choices=tuple(choices),
        path=read_flag(content, "path", where),
        hub=read_flag({"hub": True} | content, "hub", where),
        neighbours=read_flag(content, "neighbours", where),
        output=read_flag(content, "output", where),
        prominent=read_flag(content, "prominent", where),
        by_reference=read_flag(content, "by_reference", where),
        affects_result=read_flag({"affects_result": True} | content, "affects_result", where),
        names_fields=read_flag(content, "names_fields", where),
        revision_of=_revision_of(content.get("revision_of"), where),
        needed_for=_needed_for(content.get("needed_for", []), where),
        bounds=read_bounds(content, content["type"], where),
    )
    return argument if argument.required else _with_typed_default(argument, where)


def _revision_of(value: Any, where: str) -> tuple[str, str] | None:
    if value is None:
        return None
    kinds = list(value) if isinstance(value, dict) else []
    if kinds not in (["model"], ["dataset"]) or not isinstance(value[kinds[0]], str):
        msg = f"{where}: `revision_of` must be `{{model: ARGUMENT}}` or `{{dataset: ARGUMENT}}`."
        raise InvalidComponentSpecError(msg)
    return kinds[0], value[kinds[0]]


def _needed_for(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        msg = f"{where}: `needed_for` must be a list of names of produced fields."
        raise InvalidComponentSpecError(msg)
    return tuple(value)


def _with_typed_default(argument: Argument, where: str) -> Argument:
    try:
        return replace(argument, default=argument.check(argument.default))
    except InvalidArgumentError as error:
        msg = f"{where}: the default is wrong: {error}"
        raise InvalidComponentSpecError(msg) from None


def read_flag(mapping: Mapping[str, Any], key: str, where: str) -> bool:
    """Return a value of a spec that is true or false; false if it is not there."""
    value = mapping.get(key, False)
    if not isinstance(value, bool):
        msg = f"{where}: `{key}` must be true or false, not {value!r}."
        raise InvalidComponentSpecError(msg)
    return value
