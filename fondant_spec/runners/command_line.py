"""The command line of a pipeline file: `python pipeline.py [options]`."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from fondant_spec import runners
from fondant_spec.errors import FondantError, InvalidArgumentError
from fondant_spec.pipeline.explain import explain
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import StepResult, table
from fondant_spec.runners import kubeflow
from fondant_spec.runners.kubeflow import Cluster
from fondant_spec.spec.executor_options import ALL_REASONS

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def launch(
    build: Callable[[argparse.Namespace], Pipeline],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    during: Callable[[], AbstractContextManager[object]] = nullcontext,
    cluster: Cluster | None = None,
) -> int:
    """Build a pipeline and run it, or tell what would be run. Returns the exit code.

    Args:
        build: makes the pipeline from the options; `--base-path` is among them.
        parser: has the pipeline file's own options; the common ones are added to it.
        argv: the words of the command line; by default those of this process.
        during: what must hold while the pipeline runs on this machine, such as a server.
        cluster: the Kubeflow host; one with an address is where the pipeline runs by default.
    """
    add_options(parser)
    options = parser.parse_args(argv)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # the second one as a terminal is closed
        signal.signal(ending, signal.default_int_handler)  # ends the steps, too
    options.runner = options.runner or ("kubeflow" if cluster and cluster.host else "local")
    try:
        _launch(build, options, during, cluster or Cluster())
    except InvalidArgumentError as error:
        return _fail(error, EXIT_USAGE)
    except FondantError as error:
        return _fail(error, EXIT_ERROR)
    except KeyboardInterrupt:
        return _fail("interrupted; what is finished is kept, run again to go on", EXIT_INTERRUPTED)
    return 0


def _launch(
    build: Callable[[argparse.Namespace], Pipeline],
    options: argparse.Namespace,
    during: Callable[[], AbstractContextManager[object]],
    cluster: Cluster,
) -> None:
    here = options.dry_run or options.compile_only or options.runner != "kubeflow"
    if not here:
        kubeflow.preflight(cluster)
    pipeline = build(options)
    for setting in options.set:
        pipeline.override(*_setting(setting))
    for again in options.retry:
        step_id, _, reasons = again.partition("=")
        pipeline.change(step_id, retry=tuple(reasons.split(",") if reasons else [ALL_REASONS]))
    for spread in options.fan_out:
        step_id, count = _fan_out(spread)
        pipeline.change(step_id, fan_out=count)
    plan = pipeline.plan()
    if options.dry_run:
        print(describe(plan))
    elif options.compile_only:
        kubeflow.write_package(plan, cluster, options.compile_only)
        print(f"wrote {options.compile_only}")
    elif not here:
        cluster = replace(cluster, experiment=options.experiment or cluster.experiment)
        kubeflow.run(plan, cluster, name=options.run_name, following=options.follow)
    else:
        with during():
            results: list[StepResult] = runners.load(options.runner).run(plan)
        print(f"\n{table(results)}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every pipeline file has."""
    parser.add_argument(
        "--runner",
        choices=list(runners.RUNNERS),
        help="where the steps run (default: kubeflow if HOST is set, else local)",
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
    parser.add_argument(
        "--retry",
        action="append",
        default=[],
        metavar="STEP[=REASON,...]",
        help="try the failed rows of a finished step once more, or those that failed for the "
        "reasons given; repeatable",
    )
    group = parser.add_argument_group("on Kubeflow Pipelines")
    group.add_argument(
        "--compile-only",
        type=Path,
        metavar="FILE",
        help="write the package that a host takes, and run nothing",
    )
    group.add_argument(
        "--fan-out",
        action="append",
        default=[],
        metavar="STEP=N",
        help="spread the partitions of a step over N pods; repeatable",
    )
    group.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show each step's state until the run ends (default), or only submit",
    )
    group.add_argument("--experiment", help="the experiment that the run belongs to")
    group.add_argument("--run-name", default="", help="the run's name")


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


def _fan_out(text: str) -> tuple[str, int]:
    step_id, _, count = text.partition("=")
    if not step_id or not count.isascii() or not count.isdigit() or int(count) < 1:
        msg = f"--fan-out {text}: expected STEP=N, such as caption_images=4."
        raise InvalidArgumentError(msg)
    return step_id, int(count)


def _fail(error: object, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
