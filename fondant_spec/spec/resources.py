"""What a step wants of the machine it runs on: what its component states, and what a pipeline does.

A component states `resources` in its spec: `cpu` and `memory` to ask for, and limits where its need
has an end. A pipeline that says otherwise for a step goes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import Any, Final, Self, get_args, get_origin

from fondant_spec.errors import InvalidComponentSpecError, InvalidPipelineError
from fondant_spec.spec.arguments import Argument
from fondant_spec.spec.attribute_types import wrong_attribute
from fondant_spec.spec.node_choice import wrong_choice
from fondant_spec.spec.quantities import quantity
from fondant_spec.spec.types import reject_unknown_keys

_STATED: Final = {"cpu", "cpu_limit", "memory", "memory_limit"}
"""What a component may state; devices and nodes are the pipeline's to choose."""


@dataclass(frozen=True)
class Resources:
    """What a step wants of the machine it runs on; runners that cannot give it say so.

    Quantities are those of Kubernetes (`cpu="2"`, `memory="8Gi"`, `shared_memory="2Gi"`). `cpu` and
    `memory` are set aside for the step, and are the most that it gets unless `cpu_limit` and
    `memory_limit` say otherwise; where a pipeline names none, the component's spec does.
    `accelerator` is the resource name of a device, such as `nvidia.com/gpu`. With `host_network`, a
    container on this machine reaches servers on it. `retries` is how often a step is tried again
    after a failure that may pass by itself, first after `backoff` seconds and then after twice as
    many, as long as `timeout`, in seconds, allows.

    Raises:
        InvalidPipelineError: a value is of another type, a quantity is none, or a limit is less
            than what is asked for; or Kubernetes knows no such label or toleration.
    """

    cpu: str | None = None
    cpu_limit: str | None = None
    memory: str | None = None
    memory_limit: str | None = None
    shared_memory: str | None = None
    accelerator: str | None = None
    accelerators: int = 1
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()
    host_network: bool = False
    retries: int = 2
    backoff: float = 30.0
    timeout: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no runner could read."""
        for name in ("cpu", "cpu_limit", "memory", "memory_limit", "shared_memory"):
            value = getattr(self, name)
            if value is not None and not quantity(value, name):
                msg = f"Resources: {name} must be above 0, not {value!r}."
                raise InvalidPipelineError(msg)
        problem = wrong_attribute(self) or wrong_choice(self.node_selector, self.tolerations)
        if problem:
            msg = f"Resources: {problem}."
            raise InvalidPipelineError(msg)
        if self.accelerators < 1:
            msg = "Resources: accelerators must be 1 or more; leave accelerator empty for none."
            raise InvalidPipelineError(msg)
        for name in ("cpu", "memory"):
            asked, limit = getattr(self, name), getattr(self, f"{name}_limit")
            if asked and limit and quantity(limit) < quantity(asked):
                msg = f"Resources: {name}_limit is {limit}, less than {name}, {asked}."
                raise InvalidPipelineError(msg)
        if min(self.retries, self.backoff) < 0 or (self.timeout is not None and self.timeout < 1):
            msg = "Resources: retries and backoff must be 0 or more, timeout 1 (second) or more."
            raise InvalidPipelineError(msg)

    def completed(self, stated: "Resources") -> Self:
        """Return these with the CPU and memory that a component states, where none are named."""
        cpu, cpu_limit = _completed((self.cpu, self.cpu_limit), (stated.cpu, stated.cpu_limit))
        memory, memory_limit = _completed(
            (self.memory, self.memory_limit), (stated.memory, stated.memory_limit)
        )
        return replace(self, cpu=cpu, cpu_limit=cpu_limit, memory=memory, memory_limit=memory_limit)


MODEST: Final = Resources(cpu="500m", memory="1Gi")
"""What a component that states nothing asks for: on a shared cluster, nothing is no choice."""

_ARGUMENT_TYPES: Final = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    Mapping: "dict",
    tuple: "list",
}


def read_resources(content: Any, where: str) -> Resources:
    """Return what a spec states under `resources`.

    Raises:
        InvalidComponentSpecError: an unknown key, or no quantity.
    """
    if content is None:
        return MODEST
    if not isinstance(content, dict):
        msg = f'{where}: `resources` must be a mapping, such as `{{cpu: "1", memory: 2Gi}}`.'
        raise InvalidComponentSpecError(msg)
    reject_unknown_keys(content, _STATED, f"{where}: resources")
    try:
        return Resources(**content)
    except InvalidPipelineError as error:
        msg = f"{where}: resources: {error}"
        raise InvalidComponentSpecError(msg) from None


def resource_arguments() -> dict[str, Argument]:
    """Return what can be said of a step's resources, as arguments that a command line can set."""
    declared = {}
    for one in fields(Resources):
        default = one.default_factory() if callable(one.default_factory) else one.default
        declared[one.name] = Argument(one.name, _type_of(one.type), default=default)
    return declared


def _type_of(annotation: Any) -> str:
    kind = get_args(annotation)[0] if get_origin(annotation) is UnionType else annotation
    return _ARGUMENT_TYPES[get_origin(kind) or kind]


def _completed(
    own: tuple[str | None, str | None], stated: tuple[str | None, str | None]
) -> tuple[str | None, str | None]:
    """Return what is asked for, and its limit: a step's own, else what the component states."""
    asked, limit = own
    if limit is None:
        return (asked, asked) if asked is not None else stated
    if asked is None and stated[0] is not None:
        asked = min(stated[0], limit, key=quantity)
    return asked, limit
