"""The command line of a pipeline file: `python pipeline.py [options]`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from fondant_spec import runners
from fondant_spec.errors import FondantError, InvalidArgumentError
from fondant_spec.explain import explain
from fondant_spec.pipeline import Pipeline
from fondant_spec.plan import Plan
from fondant_spec.runs import StepResult, table

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def launch(
    build: Callable[[argparse.Namespace], Pipeline],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    during: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Build a pipeline and run it, or tell what would be run. Returns the exit code.

    Args:
        build: makes the pipeline from the options; `--base-path` is among them.
        parser: has the pipeline file's own options; the common ones are added to it.
        argv: the words of the command line; by default those of this process.
        during: what must hold while the pipeline runs, such as a server.
    """
    add_options(parser)
    options = parser.parse_args(argv)
    try:
        pipeline = build(options)
        for setting in options.set:
            pipeline.override(*_setting(setting))
        plan = pipeline.plan()
        if options.dry_run:
            print(describe(plan))
            return 0
        with during():
            results: list[StepResult] = runners.load(options.runner).run(plan)
        print(f"\n{table(results)}")
    except InvalidArgumentError as error:
        return _fail(error, EXIT_USAGE)
    except FondantError as error:
        return _fail(error, EXIT_ERROR)
    except KeyboardInterrupt:
        return _fail("interrupted; what is finished is kept, run again to go on", EXIT_INTERRUPTED)
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every pipeline file has."""
    parser.add_argument(
        "--runner",
        choices=list(runners.RUNNERS),
        default="local",
        help="where the steps run (default: %(default)s)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan - steps, arguments, cache hits to come - and run nothing",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STEP.ARGUMENT=VALUE",
        help="give an argument of a step another value; lists and objects in JSON; repeatable",
    )


def describe(plan: Plan) -> str:
    """Return the plan for a person: each step, its arguments, and whether it will run."""
    lines = [f"pipeline {plan.pipeline_name} at {plan.base_path}"]
    for planned, line in zip(plan.steps, explain(plan), strict=True):
        lines += ["", line]
        if planned.step.after:
            lines.append(f"  after      {', '.join(planned.step.after)}")
        lines.append(f"  component  {planned.spec.path}")
        lines += [f"  {name} = {value!r}" for name, value in planned.arguments.items()]
        lines.append(f"  fields     {', '.join(planned.fields) or '-'}")
    return "\n".join(lines)


def _setting(text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    step_id, dot, argument = name.rpartition(".")
    if not equals or not dot or not step_id or not argument:
        msg = f"--set {text}: expected STEP.ARGUMENT=VALUE, such as caption_images.num_beams=3."
        raise InvalidArgumentError(msg)
    return step_id, argument, value


def _fail(error: object, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
