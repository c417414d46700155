"""A step: one use of a component, its arguments and options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypedDict

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidArgumentError, InvalidPipelineError, did_you_mean
from fondant_spec.spec.arguments import Argument, checked, resolve
from fondant_spec.spec.attribute_types import wrong_attribute
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import (
    EXECUTOR_ARGUMENTS,
    STEP_OPTIONS,
    check_step_options,
)
from fondant_spec.spec.resources import Resources, resource_arguments

_EXECUTOR_OPTIONS: Final = {name: EXECUTOR_ARGUMENTS[name] for name in STEP_OPTIONS}
_RESOURCES: Final = resource_arguments()
_OPTIONS: Final = {f"@{name}": one for name, one in (_EXECUTOR_OPTIONS | _RESOURCES).items()}
"""A step's options and resources as a command line has them, apart from its arguments."""


class StepOptions(TypedDict, total=False):
    """What a step may be given beside its arguments; what is left out, or None, is the default.

    Attributes:
        consumes: the component's field to the dataset's, where their names differ.
        produces: the component's field to its name in the dataset, or to a further one's type.
        resources: what it wants of the machine.
        max_reject_share: the share of rows, 0 to 1, beyond which giving up on them is an error.
        rows_per_partition: of a step that makes rows; later ones take its partitions over.
        workers: how many partitions are computed at a time; by default as many as fit.
        cache: whether a committed result is taken as it is.
        retry: the reasons of failed rows that are tried once more, or `all`.
        fan_out: how many machines share the partitions, where a runner has several.
    """

    consumes: Mapping[str, str] | None
    produces: Mapping[str, Any] | None
    resources: Resources | None
    max_reject_share: float | None
    rows_per_partition: int | None
    workers: int | None
    cache: bool | None
    retry: Sequence[str] | None
    fan_out: int | None


@dataclass(frozen=True)
class Step:
    """One use of a component. Its `id` is unique in the pipeline.

    `arguments` holds the value of every argument of the component, defaults included: `Pipeline`
    fills them in and checks them. The rest are `StepOptions`; those left at None are the executor's
    own.

    Raises:
        InvalidArgumentError: a limit is out of its range.
        InvalidPipelineError: a value is of another type.
    """

    id: str
    spec: ComponentSpec
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    consumes: Mapping[str, str] = field(default_factory=dict)
    produces: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    max_reject_share: float | None = None
    rows_per_partition: int | None = None
    workers: int | None = None
    cache: bool = True
    retry: tuple[str, ...] = ()
    fan_out: int = 1

    @property
    def needs(self) -> Resources:
        """Its resources, completed by what its component states."""
        return self.resources.completed(self.spec.resources)

    @property
    def takes_committed(self) -> bool:
        """Whether a committed result is taken as it is."""
        return self.cache and not self.retry

    def __post_init__(self) -> None:
        """Refuse what the executor or a runner would refuse."""
        check_step_options(vars(self), self.id)
        _check_types(self, self.id)
        if self.fan_out < 1:
            msg = f"{self.id}: fan_out must be at least 1, not {self.fan_out}."
            raise InvalidPipelineError(msg)


def with_options(step: Step, options: StepOptions) -> Step:
    """Return a step with other options; those that are None stay as they are.

    Raises:
        InvalidPipelineError: an option is unknown or of another type.
    """
    for name in options.keys() - StepOptions.__annotations__.keys():
        known = ["after", "step_id", "arguments", *StepOptions.__annotations__]
        hint = did_you_mean(name, known)
        msg = f"{step.id}: unknown option {name!r}{hint} Known: {', '.join(known)}."
        raise InvalidPipelineError(msg)
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if "retry" in given:  # one text is one reason, not its letters
        given["retry"] = tuple(
            [given["retry"]] if isinstance(given["retry"], str) else given["retry"]
        )
    return replace(step, **given)


def settled(step: Step) -> Step:
    """Return a step with all its arguments filled in and checked, and local paths absolute.

    Raises:
        InvalidArgumentError: an argument is unknown, missing, or of the wrong type.
    """
    values = resolve(step.spec.arguments, step.arguments, step.id)
    for name, value in values.items():
        argument = step.spec.arguments[name]
        local = isinstance(value, str) and value and not storage.is_remote(value)
        path = argument.path and local and (not argument.hub or Path(value).expanduser().exists())
        if path or (argument.output and local):
            values[name] = storage.normalize(value)
    return replace(step, arguments=values)


def declared(step: Step, name: str) -> Argument:
    """Return what is declared of an argument of a step, or of an option such as `@workers`.

    Raises:
        InvalidArgumentError: there is none of that name.
    """
    known = {**step.spec.arguments, **_OPTIONS}
    if name not in known:
        hint = did_you_mean(name, [*known])
        msg = f"{step.id}: unknown argument {name!r}{hint} Known: {', '.join(known)}."
        raise InvalidArgumentError(msg)
    return known[name]


def assigned(step: Step, name: str, value: Any) -> Step:
    """Return a step with another value of an argument, or of an option such as `@workers`.

    Raises:
        InvalidArgumentError: there is none of that name, or the value is not of its type.
        InvalidPipelineError: no runner could give the step that.
    """
    option = declared(step, name)
    if name not in _OPTIONS:
        return settled(replace(step, arguments={**step.arguments, name: value}))
    value = checked(option, value, step.id)
    change: dict[str, Any] = {option.name: tuple(value) if isinstance(value, list) else value}
    if option.name in _RESOURCES:
        try:
            return replace(step, resources=replace(step.resources, **change))
        except InvalidPipelineError as error:
            msg = f"{step.id}: {error}"
            raise InvalidPipelineError(msg) from None
    return replace(step, **change)


def _check_types(record: Any, where: str) -> None:
    """Refuse values that are not of the type that their attribute is declared with."""
    if problem := wrong_attribute(record):
        msg = f"{where}: {problem}."
        raise InvalidPipelineError(msg)
