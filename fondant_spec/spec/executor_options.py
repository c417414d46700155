"""What the executor is told beside a component's own arguments, and reading both from argv."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.spec import arguments
from fondant_spec.spec.arguments import EXECUTOR_ARGUMENTS
from fondant_spec.spec.component_spec import ComponentSpec

_SLICE: Final = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Options:
    """The executor's own arguments.

    `spec_file` is the name of the spec beside `src`, where a component has more than one.

    `slice` is (i, n): only every n-th partition from the i-th on is computed and nothing is
    committed, so that n of them can run side by side before one whole run commits. `retry` holds
    the reasons of failed rows that are tried once more, or `all`.
    """

    base_path: str
    pipeline_name: str
    step_id: str
    run_id: str
    max_reject_share: float
    rows_per_partition: int
    spec_file: str
    inputs: tuple[str, ...] = ()
    output_manifest_path: str | None = None
    consumes: Mapping[str, str] = field(default_factory=dict)
    produces: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None
    cache: bool = True
    retry: tuple[str, ...] = ()
    slice: tuple[int, int] | None = None


def spec_file(argv: Sequence[str]) -> str:
    """Return the name of the spec that an argument vector is meant for."""
    declared = EXECUTOR_ARGUMENTS["spec_file"]
    return str(arguments.split_argv(argv).get(declared.name, declared.default))


def parse(spec: ComponentSpec, argv: Sequence[str]) -> tuple[Options, dict[str, Any]]:
    """Return the executor's options and the component's arguments of an argument vector.

    Raises:
        InvalidArgumentError: an unknown name, a missing value, or a wrong type.
    """
    words = arguments.split_argv(argv)
    own = {name: words.pop(name) for name in list(words) if name in EXECUTOR_ARGUMENTS}
    where = own.get("step_id", spec.component_id)
    values = arguments.from_words(spec.arguments, words, where)
    return _options(own, spec, where), values


def _options(words: Mapping[str, str], spec: ComponentSpec, where: str) -> Options:
    values = arguments.from_words(EXECUTOR_ARGUMENTS, words, where)
    arguments.check_limits(values, where)
    values["step_id"] = values["step_id"] or spec.component_id
    values["run_id"] = values["run_id"] or f"manual-{uuid.uuid4().hex[:8]}"
    values["inputs"] = _inputs(values.pop("input_manifest_path"), where)
    values["retry"] = tuple(values["retry"])
    values["slice"] = _slice(values["slice"], where)
    return Options(**values)


def _inputs(word: str, where: str) -> tuple[str, ...]:
    """Return the locations in a word: one as it is, several as a list in JSON."""
    if not word.startswith("["):
        return (word,) if word else ()
    try:
        return tuple(map(str, json.loads(word)))
    except ValueError:
        msg = f"{where}: input_manifest_path must be a path, or a list of paths in JSON: {word!r}."
        raise InvalidArgumentError(msg) from None


def _slice(word: str | None, where: str) -> tuple[int, int] | None:
    if word is None:
        return None
    match = _SLICE.fullmatch(word)
    if not match or not int(match[1]) < int(match[2]):
        msg = f"{where}: slice must be i/n with 0 <= i < n, such as 0/4, not {word!r}."
        raise InvalidArgumentError(msg)
    return int(match[1]), int(match[2])
