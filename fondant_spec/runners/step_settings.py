"""The options of a pipeline file that change its steps: their arguments, and which of them run."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fondant_spec.bounded_yaml import read_yaml
from fondant_spec.dataset.layout import StepFolder
from fondant_spec.dataset.reject_listing import count_reasons, in_words
from fondant_spec.errors import InvalidArgumentError, InvalidPipelineError, did_you_mean
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.spec.executor_options import ALL_REASONS

_LIMIT: Final = "n_rows_to_load"
"""The argument that limits the rows of a component that loads."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command line."""

    def add(name: str, metavar: str, text: str) -> None:
        text = f"{text}; repeatable"
        parser.add_argument(name, action="append", default=[], metavar=metavar, help=text)

    add(
        "--set",
        "STEP.ARGUMENT=VALUE",
        "give an argument of a step another value, or an option, as in STEP.@workers=2; lists and "
        "objects in JSON",
    )
    add("--unset", "STEP.ARGUMENT", "give an argument or an @option its default back")
    add(
        "--retry",
        "STEP[=REASON,...]",
        "try the failed rows of a finished step once more, or those that failed for the reasons "
        "given",
    )
    add("--rerun", "STEP", "run a step though its result is there")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings in YAML, as step: {argument: value, '@option': value}; --set goes before it",
    )
    parser.add_argument(
        "--until", metavar="STEP", help="run a step and those that it needs, and no more"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="load N rows at most, to try things out"
    )


@contextmanager
def as_usage() -> Iterator[None]:
    """Report a step that a command line names and that does not exist as wrong usage."""
    try:
        yield
    except InvalidPipelineError as error:
        raise InvalidArgumentError(str(error)) from None


def change_steps(pipeline: Pipeline, options: argparse.Namespace) -> None:
    """Change the steps of a pipeline as the options say.

    Raises:
        InvalidArgumentError: an option names something that does not exist, or an invalid value.
    """
    with as_usage():
        if options.config is not None:
            _configure(pipeline, options.config)
        for name in options.unset:
            pipeline.unset(*_step_and_argument(name, f"--unset {name}", "STEP.ARGUMENT"))
        for setting in options.set:
            name, equals, value = setting.partition("=")
            form = "STEP.ARGUMENT=VALUE"
            step_id, argument = _step_and_argument(name * bool(equals), f"--set {setting}", form)
            pipeline.override(step_id, argument, value)
        if options.limit is not None:
            _limit(pipeline, options.limit)
        if options.until is not None:
            pipeline.end_with(options.until)
        for again in options.retry:
            step_id, _, reasons = again.partition("=")
            pipeline.change(step_id, retry=reasons.split(",") if reasons else [ALL_REASONS])
        for step_id in options.rerun:
            pipeline.change(step_id, cache=False)


def check_retries(plan: Plan) -> None:
    """Reject a reason to retry that no failed row of the step has.

    A step without rejects yet runs as always: nothing is known of its reasons.

    Raises:
        InvalidArgumentError: naming the existing reasons.
    """
    for planned in plan.steps:
        if planned.step.retry:
            _check_retry(planned)


def _check_retry(planned: PlannedStep) -> None:
    counts = count_reasons(StepFolder.of_manifest(planned.location).rejects)
    for reason in planned.step.retry:
        if reason == ALL_REASONS or reason in counts.failed:
            continue
        if not (counts.failed or counts.filtered):
            continue
        known = in_words(counts.failed) or "none"
        why = (
            "rows were left out for it, not failed"
            if reason in counts.filtered
            else "no row failed so"
        )
        hint = did_you_mean(reason, [*counts.failed])
        msg = f"--retry {planned.id}={reason}: {why}{hint} Failed rows: {known}."
        raise InvalidArgumentError(msg)


def _configure(pipeline: Pipeline, file: Path) -> None:
    try:
        content = read_yaml(file.read_text(encoding="utf-8"), unique_keys=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        msg = f"--config {file}: cannot be read ({reason})."
        raise InvalidArgumentError(msg) from None
    for step_id, values in _mapping(content, f"--config {file}", "step").items():
        where = f"--config {file}: {step_id}"
        for name, value in _mapping(values, where, "argument").items():
            try:
                pipeline.assign(step_id, name, value)
            except (InvalidArgumentError, InvalidPipelineError) as error:
                msg = f"--config {file}: {error}"
                raise InvalidArgumentError(msg) from None


def _mapping(content: Any, where: str, what: str) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        msg = f"{where}: expected {what}s and what they are given, such as `{what}: ...`."
        raise InvalidArgumentError(msg)
    return content


def _limit(pipeline: Pipeline, rows: int) -> None:
    loads = [step for step in pipeline.steps.values() if not step.after]
    for step in loads:
        if _LIMIT not in step.spec.arguments:
            msg = (
                f"--limit {rows}: {step.id} has no argument {_LIMIT!r} by which it would load "
                "fewer rows; leave --limit out, or set what it has instead."
            )
            raise InvalidArgumentError(msg)
    for step in loads:
        given = step.arguments[_LIMIT]
        pipeline.assign(step.id, _LIMIT, rows if given is None else min(given, rows))


def _step_and_argument(name: str, given: str, form: str) -> tuple[str, str]:
    step_id, dot, argument = name.rpartition(".")
    if not dot or not step_id or not argument:
        example = "caption_images.num_beams" + ("=3" if "=" in form else "")
        msg = f"{given}: expected {form}, such as {example}."
        raise InvalidArgumentError(msg)
    return step_id, argument
