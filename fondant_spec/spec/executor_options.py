"""The executor's own options, which accompany a component's arguments in every argument vector.

They are declared once, as the attributes of `ExecutorOptions`: the parser and writer of argument
vectors, the help text and the form of Kubeflow Pipelines are all derived from them.
"""

# ruff: noqa: RUF009 - _option declares an attribute, as dataclasses.field does
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Final, Self

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.spec.arguments import REQUIRED, Argument, checked, from_words
from fondant_spec.spec.bounds import Bounds

SPEC_FILE: Final = "fondant_component.yaml"

ALL_REASONS: Final = "all"
"""Means every reason, in `retry`."""

STEP_OPTIONS: Final = (
    "consumes",
    "produces",
    "max_reject_share",
    "rows_per_partition",
    "workers",
    "cache",
    "retry",
)
"""Those that a pipeline sets per step; the others follow from the run."""

NAME_OF_FOLDER: Final = "[A-Za-z0-9_][A-Za-z0-9._-]{0,254}"
"""A regular expression for names of folders below the base path, which cannot escape it."""

_NAME_OF_FOLDER: Final = Bounds(pattern=NAME_OF_FOLDER)

_SLICE: Final = re.compile(r"(\d+)/(\d+)")


def _option(type_: str, description: str, **declared: Any) -> Any:
    """Declare an option; it is required unless it has a `default`."""
    default = declared.pop("default", MISSING)
    metadata = {"type": type_, "description": description, **declared}
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ExecutorOptions:
    """The options of the executor, besides a component's arguments."""

    base_path: str = _option("str", "Folder or URL below which everything lands.")
    pipeline_name: str = _option(
        "str", "The pipeline's name.", default="pipeline", bounds=_NAME_OF_FOLDER
    )
    step_id: str | None = _option(
        "str", "The step's id; else the component's.", default=None, bounds=_NAME_OF_FOLDER
    )
    run_id: str | None = _option(
        "str", "The run's id; else one is made.", default=None, bounds=_NAME_OF_FOLDER
    )
    spec_file: str = _option(
        "str",
        "The spec's file name, where several lie.",
        default=SPEC_FILE,
        bounds=Bounds(pattern="[^/]+"),
    )
    input_manifest_path: str = _option(
        "str", "The manifest to read; several as a list in JSON, or repeated.", default=""
    )
    output_manifest_path: str | None = _option(
        "str", "The file in which to report where the manifest is.", default=None
    )
    consumes: Mapping[str, str] = _option(
        "dict", "Consumed field to the dataset's field, where the names differ.", default={}
    )
    produces: Mapping[str, Any] = _option(
        "dict", "Produced field to its new name; a further field to its type.", default={}
    )
    max_reject_share: float = _option(
        "float",
        "The share of failed rows above which the step fails.",
        default=0.5,
        bounds=Bounds(minimum=0, maximum=1),
    )
    rows_per_partition: int = _option(
        "int",
        "Rows in a partition, where the step makes new rows.",
        default=1000,
        bounds=Bounds(minimum=1),
    )
    workers: int | None = _option(
        "int", "Worker processes; else one for each core.", default=None, bounds=Bounds(minimum=1)
    )
    cache: bool = _option("bool", "Take a finished result as it is.", default=True)
    retry: list[str] = _option(
        "list", "Reasons of failed rows to try once more, or `all`.", default=[]
    )
    step_retries: int = _option(
        "int",
        "How often to try again after a failure that may pass by itself.",
        default=0,
        bounds=Bounds(minimum=0),
    )
    step_backoff: float = _option(
        "float",
        "Seconds before the first further try; twice as many before each one that follows.",
        default=30.0,
        bounds=Bounds(minimum=0),
    )
    step_timeout: float | None = _option(
        "float",
        "Seconds after which there is no further try.",
        default=None,
        bounds=Bounds(minimum=0),
    )
    further_arguments: Mapping[str, Any] = _option(
        "dict", "Arguments of the component beside those named, as one object.", default={}
    )
    executor_input: str | None = _option(
        "str",
        "What Kubeflow Pipelines says of the outputs; its metrics are then told.",
        default=None,
    )
    report_path: str | None = _option(
        "str", "The file in which to show the result, as one page of HTML.", default=None
    )
    slice: str | None = _option(
        "str",
        "As i/n: compute every n-th partition from the i-th on; commit nothing.",
        default=None,
    )
    slice_folders: list[str] = _option(
        "list", "What the slices reported, whose work is to be committed.", default=[]
    )

    @classmethod
    def from_words(cls, words: Mapping[str, str], step_id: str) -> Self:
        """Parse the options among the words of an argument vector, given by name.

        Raises:
            InvalidArgumentError: a value is missing, of the wrong type, or out of range.
        """
        options = cls(**from_words(EXECUTOR_ARGUMENTS, words, words.get("step_id", step_id)))
        return replace(options, step_id=options.step_id or step_id)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The locations of the input manifests: a single one verbatim, several as a JSON list.

        Raises:
            InvalidArgumentError: it is neither.
        """
        word = self.input_manifest_path
        if not word.startswith("["):
            return (word,) if word else ()
        try:
            return tuple(map(str, json.loads(word)))
        except ValueError:
            msg = (
                f"{self.step_id}: input_manifest_path must be a path, or a list of paths in JSON: "
                f"{word!r}."
            )
            raise InvalidArgumentError(msg) from None

    @property
    def slice_of(self) -> tuple[int, int] | None:
        """The slice as (i, n): n of them run in parallel before one whole run commits.

        Raises:
            InvalidArgumentError: it is malformed, or i is not below n.
        """
        if self.slice is None:
            return None
        match = _SLICE.fullmatch(self.slice)
        if not match or not int(match[1]) < int(match[2]):
            msg = (
                f"{self.step_id}: slice must be i/n with 0 <= i < n, such as 0/4, not "
                f"{self.slice!r}."
            )
            raise InvalidArgumentError(msg)
        return int(match[1]), int(match[2])


def _declared() -> dict[str, Argument]:
    defaults = {
        one.name: one.default_factory() if one.default_factory is not MISSING else one.default
        for one in fields(ExecutorOptions)
    }
    return {
        one.name: Argument(
            one.name,
            **one.metadata,
            default=REQUIRED if defaults[one.name] is MISSING else defaults[one.name],
        )
        for one in fields(ExecutorOptions)
    }


EXECUTOR_ARGUMENTS: Final[Mapping[str, Argument]] = _declared()
"""The options as arguments; a component cannot declare an argument of the same name."""


def check_step_options(values: Mapping[str, Any], step_id: str) -> None:
    """Check those of a step's options that are given.

    Raises:
        InvalidArgumentError: a value is of another type, or out of range.
    """
    given = {name: values[name] for name in STEP_OPTIONS if values.get(name) is not None}
    given.pop("produces", None)  # may hold Arrow types, which the field mapping checks
    for name, value in given.items():
        checked(EXECUTOR_ARGUMENTS[name], value, step_id)
