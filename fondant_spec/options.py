"""What the executor is told beside a component's own arguments, and reading both from argv."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fondant_spec import arguments, storage
from fondant_spec.component_spec import RESERVED_ARGUMENTS, ComponentSpec
from fondant_spec.errors import InvalidArgumentError

DEFAULT_ROWS_PER_PARTITION: Final = 1000
DEFAULT_REJECT_SHARE: Final = 0.5


@dataclass(frozen=True)
class Options:
    """The executor's own arguments.

    `slice` is (i, n): only every n-th partition from the i-th on is computed and nothing is
    committed, so that n of them can run side by side before one whole run commits.
    """

    base_path: str
    pipeline_name: str
    step_id: str
    run_id: str = "manual"
    inputs: tuple[str, ...] = ()
    output_manifest_path: str | None = None
    consumes: dict[str, str] = field(default_factory=dict)
    produces: dict[str, Any] = field(default_factory=dict)
    max_reject_share: float = DEFAULT_REJECT_SHARE
    rows_per_partition: int = DEFAULT_ROWS_PER_PARTITION
    workers: int | None = None
    cache: bool = True
    slice: tuple[int, int] | None = None


def parse(spec: ComponentSpec, argv: Sequence[str]) -> tuple[Options, dict[str, Any]]:
    """Return the executor's options and the component's arguments of an argument vector.

    Raises:
        InvalidArgumentError: an unknown name, a missing value, or a wrong type.
    """
    words = arguments.split_argv(argv)
    own = {name: words.pop(name) for name in list(words) if name in RESERVED_ARGUMENTS}
    where = own.get("step_id", spec.component_id)
    values = arguments.from_words(spec.arguments, words, where)
    try:
        return _options(own, spec), values
    except (ValueError, TypeError) as error:
        msg = f"{where}: an option of the executor is wrong: {error}"
        raise InvalidArgumentError(msg) from None


def _options(words: dict[str, str], spec: ComponentSpec) -> Options:
    if "base_path" not in words:
        msg = "missing --base_path, the folder or URL where everything lands"
        raise ValueError(msg)
    options: dict[str, Any] = {
        "base_path": storage.normalize(words["base_path"]),
        "pipeline_name": words.get("pipeline_name", "pipeline"),
        "step_id": words.get("step_id", spec.component_id),
    }
    manifests = words.get("input_manifest_path", "")
    if manifests:
        options["inputs"] = tuple(
            json.loads(manifests) if manifests.startswith("[") else [manifests]
        )
    for name in ("run_id", "output_manifest_path"):
        if name in words:
            options[name] = words[name]
    readers: dict[str, Callable[[str], Any]] = {
        "max_reject_share": float,
        "rows_per_partition": int,
        "workers": int,
        "consumes": json.loads,
        "produces": json.loads,
        "cache": lambda word: json.loads(word.lower()),
        "slice": _read_slice,
    }
    options |= {name: read(words[name]) for name, read in readers.items() if name in words}
    return Options(**options)


def _read_slice(word: str) -> tuple[int, int]:
    index, _, count = word.partition("/")
    if not 0 <= int(index) < int(count):
        msg = f"slice must be i/n with 0 <= i < n, not {word!r}"
        raise ValueError(msg)
    return int(index), int(count)
