"""The reader of `fondant_component.yaml`.

It accepts every component spec of Fondant 0.12's hub, and adds: `cardinality`, `network` and
`resources`, which Fondant's own reader passes over; on a consumed field `optional`; on a field
`description`; on an argument `choices`, `path`, `hub`, `neighbours`, `output`, `prominent`,
`revision_of`, `names_fields`, `needed_for`, and the bounds `minimum`, `maximum`,
`exclusive_minimum`, `exclusive_maximum`, `pattern`.
Specs from before Fondant 0.8, which have their fields in subsets, are refused with what to write
instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from fondant_spec.bounded_yaml import read_yaml
from fondant_spec.errors import (
    InvalidComponentSpecError,
    InvalidTypeError,
)
from fondant_spec.spec.argument_spec import read_arguments, read_flag
from fondant_spec.spec.arguments import Argument
from fondant_spec.spec.executor_options import SPEC_FILE
from fondant_spec.spec.resources import MODEST, Resources, read_resources
from fondant_spec.spec.types import check_field_keys, reject_unknown_keys, type_from_json

CARDINALITIES: Final = ("maps", "filters", "explodes")

_KEYS: Final = {
    "name",
    "description",
    "image",
    "tags",
    "consumes",
    "produces",
    "previous_index",
    "args",
    "cardinality",
    "network",
    "resources",
}


@dataclass(frozen=True)
class FieldSpec:
    """A field that a component consumes or produces."""

    name: str
    type: pa.DataType
    optional: bool = False
    description: str = ""


@dataclass(frozen=True)
class ComponentSpec:
    """What a component consumes and produces, and its arguments; the content of its YAML file.

    `consumes_any` and `produces_any` say that a step may name further fields
    (`additionalProperties` in the file). Without `network`, the component reaches only for what its
    arguments and the base path name. `resources` is what it asks of a machine. `path` is the file
    it was read from.
    """

    name: str
    description: str
    image: str
    cardinality: str
    consumes: Mapping[str, FieldSpec]
    produces: Mapping[str, FieldSpec]
    arguments: Mapping[str, Argument]
    consumes_any: bool = False
    produces_any: bool = False
    previous_index: str | None = None
    network: bool = True
    resources: Resources = MODEST
    tags: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def component_id(self) -> str:
        """The name in lower case, with underscores."""
        return self.name.lower().replace(" ", "_")

    @property
    def loads(self) -> bool:
        """Whether the component brings rows in rather than transforming some."""
        return not self.consumes and not self.consumes_any

    @property
    def writes(self) -> bool:
        """Whether what the component makes is no rows but files, such as a model."""
        outputs = any(argument.output for argument in self.arguments.values())
        return outputs and not self.loads and not self.produces and not self.produces_any

    @property
    def makes_ids(self) -> bool:
        """Whether the rows that come out are other ones than those that went in."""
        return self.loads or self.cardinality == "explodes"

    @property
    def source(self) -> Path | None:
        """The component's folder, when its code lies beside the spec."""
        folder = self.path.parent if self.path else None
        return folder if folder and (folder / "src" / "main.py").is_file() else None

    @classmethod
    def from_file(cls, path: str | Path) -> "ComponentSpec":
        """Read a spec from its file, or from the folder that holds it.

        Raises:
            InvalidComponentSpecError: no such file, not YAML, or not a valid spec.
        """
        file = Path(path)
        if file.is_dir():
            file = file / SPEC_FILE
        try:
            content = read_yaml(file.read_text(encoding="utf-8"), unique_keys=True)
        except OSError as error:
            msg = f"{file}: cannot read the component spec ({error.strerror}); check the path."
            raise InvalidComponentSpecError(msg) from None
        except ValueError as error:
            msg = f"{file}: not valid YAML: {error}"
            raise InvalidComponentSpecError(msg) from None
        return cls.from_dict(content, where=str(file), path=file.resolve())

    @classmethod
    def from_dict(
        cls,
        content: Any,
        *,
        where: str = "component spec",
        path: Path | None = None,
    ) -> "ComponentSpec":
        """Build a spec from the content of its file; `where` names it in errors.

        Raises:
            InvalidComponentSpecError: with the first rule that the content breaks.
        """
        try:
            return _parse(content, where, path)
        except InvalidTypeError as error:
            raise InvalidComponentSpecError(str(error)) from None


def _parse(content: Any, where: str, path: Path | None) -> ComponentSpec:
    if not isinstance(content, dict):
        msg = f"{where}: must be a mapping with the keys name, description and image."
        raise InvalidComponentSpecError(msg)
    reject_unknown_keys(content, _KEYS, where)
    for key in ("name", "description", "image"):
        if not isinstance(content.get(key), str) or not content[key].strip():
            msg = f"{where}: `{key}` is required and must be a text."
            raise InvalidComponentSpecError(msg)
    consumes, consumes_any = _fields(content, "consumes", where, frozenset({"optional"}))
    produces, produces_any = _fields(content, "produces", where, frozenset())
    return ComponentSpec(
        name=content["name"],
        description=content["description"].strip(),
        image=content["image"],
        tags=_tags(content.get("tags", []), where),
        consumes=consumes,
        consumes_any=consumes_any,
        produces=produces,
        produces_any=produces_any,
        previous_index=_previous_index(content, produces, where),
        cardinality=_cardinality(content, where),
        network=read_flag({"network": True} | content, "network", where),
        resources=read_resources(content.get("resources"), where),
        arguments=read_arguments(content.get("args"), where),
        path=path,
    )


def _tags(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        msg = f"{where}: `tags` must be a list of texts."
        raise InvalidComponentSpecError(msg)
    return tuple(value)


def _fields(
    content: dict[str, Any],
    key: str,
    where: str,
    extra: frozenset[str],
) -> tuple[dict[str, FieldSpec], bool]:
    value = content.get(key, {})
    if not isinstance(value, dict) or (key in content and not value):
        msg = f"{where}: `{key}` must be a mapping of field name to type; leave it out for none."
        raise InvalidComponentSpecError(msg)
    fields = {}
    for name, field in value.items():
        if name == "additionalProperties":
            continue
        place = f"{where}: {key}.{name}"
        _refuse_subset(name, field, place)
        if not isinstance(field, dict) or not isinstance(name, str):
            msg = f"{place}: must be a mapping with a `type`, such as `{{type: string}}`."
            raise InvalidComponentSpecError(msg)
        if name == "id":
            msg = f"{place}: `id` is the index, which every component gets; use another name."
            raise InvalidComponentSpecError(msg)
        check_field_keys(field, place, extra | {"description"})
        fields[name] = FieldSpec(
            name,
            type_from_json(field, place),
            optional=read_flag(field, "optional", place),
            description=str(field.get("description", "")),
        )
    return fields, read_flag(value, "additionalProperties", f"{where}: {key}")


def _refuse_subset(name: Any, value: Any, place: str) -> None:
    """Refuse what a spec from before Fondant 0.8 has for a field."""
    subset = isinstance(value, dict) and "type" not in value and "fields" in value
    if name == "additionalSubsets":
        advice = "`additionalProperties`, as in `additionalProperties: true`"
    elif subset:
        inner = value["fields"]
        first = next(iter(inner), "data") if isinstance(inner, dict) else "data"
        advice = f"each field by itself, as in `{name}_{first}: {{type: ...}}`"
    else:
        return
    msg = f"{place}: this is a spec for Fondant before 0.8, with fields in subsets; write {advice}."
    raise InvalidComponentSpecError(msg)


def _previous_index(
    content: dict[str, Any],
    produces: dict[str, FieldSpec],
    where: str,
) -> str | None:
    """Return the field that keeps the parent's id; it is produced, whether declared or not."""
    value = content.get("previous_index")
    if value is not None and not isinstance(value, str):
        msg = f"{where}: `previous_index` must be a field name, not {value!r}."
        raise InvalidComponentSpecError(msg)
    if value is None:
        return None
    if produces.setdefault(value, FieldSpec(value, pa.string())).type != pa.string():
        msg = f"{where}: the field {value!r} that `previous_index` names must be a string."
        raise InvalidComponentSpecError(msg)
    return value


def _cardinality(content: dict[str, Any], where: str) -> str:
    """Return the declared cardinality, or what a spec without one (Fondant's) implies."""
    value = content.get("cardinality")
    if value is None:
        if content.get("previous_index") or "consumes" not in content:
            return "explodes"
        return "maps" if content.get("produces") else "filters"
    if value not in CARDINALITIES:
        msg = f"{where}: `cardinality` must be one of {', '.join(CARDINALITIES)}, not {value!r}."
        raise InvalidComponentSpecError(msg)
    if (value == "explodes") != bool(content.get("previous_index")) and content.get("consumes"):
        msg = (
            f"{where}: a component that explodes names the field that keeps the parent's id in "
            "`previous_index`; others have none."
        )
        raise InvalidComponentSpecError(msg)
    return str(value)
