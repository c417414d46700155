"""Mapping a component's fields to those of a dataset, and the fields after the step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from fondant_spec.dataset.manifest import Field
from fondant_spec.errors import InvalidPipelineError, InvalidTypeError, did_you_mean
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.types import type_from_json


@dataclass(frozen=True)
class FieldMapping:
    """The mapping between a component's fields and the dataset's.

    `inputs` are the consumed fields by the component's names; `outputs` the types that the
    component must return, by its own names; `output_names` their names in the dataset; `available`
    all fields of the dataset, consumed or not.
    """

    inputs: Mapping[str, Field]
    outputs: Mapping[str, pa.DataType]
    output_names: Mapping[str, str]
    available: Mapping[str, Field] = field(default_factory=dict)


def map_fields(
    spec: ComponentSpec,
    available: Mapping[str, Field],
    consumes: Mapping[str, str],
    produces: Mapping[str, Any],
    step_id: str,
) -> FieldMapping:
    """Match a component's fields to the available ones.

    `consumes` maps a field of the component to the dataset's field, if the names differ. `produces`
    maps a declared field to its name in the dataset, and an additional field to its type (a type
    name, a mapping as in a spec, or an Arrow type).

    Raises:
        InvalidPipelineError: a field is unknown, missing, or of another type.
    """
    inputs = {
        **_declared_inputs(spec, available, consumes, step_id),
        **_additional_inputs(spec, available, consumes, step_id),
    }
    outputs, names = _outputs(spec, produces, step_id)
    return FieldMapping(inputs, outputs, names, available)


def satisfies(actual: pa.DataType, declared: pa.DataType) -> bool:
    """Return whether a column of type `actual` can be used as `declared`.

    Besides equal types, a fixed-size list is accepted as a list, and large string and binary types
    as the plain ones.
    """
    if actual.equals(declared):
        return True
    if pa.types.is_list(declared):
        is_list = pa.types.is_list(actual) or pa.types.is_fixed_size_list(actual)
        return bool(is_list and satisfies(actual.value_type, declared.value_type))
    if pa.types.is_string(declared):
        return bool(pa.types.is_large_string(actual))
    return bool(pa.types.is_binary(declared) and pa.types.is_large_binary(actual))


def fields_after(
    mapping: FieldMapping, kept: Mapping[str, Field], location: str
) -> dict[str, Field]:
    """Return the fields of the dataset after a step that writes to `location`.

    `kept` are the earlier fields, which stay in place; empty if the step makes new ids.
    """
    fields = dict(kept)
    for name, data_type in mapping.outputs.items():
        dataset_name = mapping.output_names[name]
        fields[dataset_name] = Field(dataset_name, data_type, location)
    return fields


def _declared_inputs(
    spec: ComponentSpec,
    available: Mapping[str, Field],
    consumes: Mapping[str, str],
    where: str,
) -> dict[str, Field]:
    inputs = {}
    for name, wanted in spec.consumes.items():
        source = consumes.get(name, name)
        _check_source(name, source, where)
        found = available.get(source)
        if found is None:
            if wanted.optional and name not in consumes:
                continue
            raise _missing_field(source, available, where)
        if not satisfies(found.type, wanted.type):
            msg = (
                f"{where}: field {source!r} is of type {found.type}, but the component consumes "
                f"{wanted.type}; map another field to {name!r} with `consumes`."
            )
            raise InvalidPipelineError(msg)
        inputs[name] = found
    return inputs


def _additional_inputs(
    spec: ComponentSpec,
    available: Mapping[str, Field],
    consumes: Mapping[str, str],
    where: str,
) -> dict[str, Field]:
    inputs = {}
    for name, source in consumes.items():
        if name in spec.consumes:
            continue
        if not spec.consumes_any:
            hint = did_you_mean(name, list(spec.consumes))
            msg = f"{where}: the component consumes no field {name!r}{hint}"
            raise InvalidPipelineError(msg)
        _check_source(name, source, where)
        if source not in available:
            raise _missing_field(source, available, where)
        inputs[name] = available[source]
    return inputs


def _check_source(name: str, source: Any, where: str) -> None:
    if not isinstance(source, str):
        msg = f"{where}: consumes[{name!r}] must be the name of a field, not {source!r}."
        raise InvalidPipelineError(msg)


def _missing_field(name: str, available: Mapping[str, Field], where: str) -> InvalidPipelineError:
    hint = did_you_mean(name, list(available))
    known = ", ".join(sorted(available)) or "none"
    return InvalidPipelineError(
        f"{where}: there is no field {name!r} at this point{hint} Fields here: {known}.",
    )


def _outputs(
    spec: ComponentSpec,
    produces: Mapping[str, Any],
    where: str,
) -> tuple[dict[str, pa.DataType], dict[str, str]]:
    types = {name: produced.type for name, produced in spec.produces.items()}
    names = {name: name for name in types}
    for name, value in produces.items():
        if name in spec.produces:
            if not isinstance(value, str) or value == "id":
                msg = f"{where}: produces[{name!r}] must be the field's new name, not {value!r}."
                raise InvalidPipelineError(msg)
            names[name] = value
        elif spec.produces_any and name != "id":
            types[name] = _as_type(value, f"{where}: produces[{name!r}]")
            names[name] = name
        else:
            hint = did_you_mean(name, list(spec.produces))
            msg = f"{where}: the component produces no field {name!r}{hint}"
            raise InvalidPipelineError(msg)
    if len(set(names.values())) < len(names):
        msg = f"{where}: two produced fields have the same name: {sorted(names.values())}."
        raise InvalidPipelineError(msg)
    return types, names


def _as_type(value: Any, where: str) -> pa.DataType:
    if isinstance(value, pa.DataType):
        return value
    try:
        return type_from_json({"type": value} if isinstance(value, str) else value, where)
    except InvalidTypeError as error:
        raise InvalidPipelineError(str(error)) from None
