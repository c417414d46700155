"""The command line of a pipeline file: `python pipeline.py --help`."""

import argparse
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fondant_spec.errors import InvalidArgumentError, InvalidPipelineError
from fondant_spec.exit_codes import end_program, exit_code
from fondant_spec.pipeline.explain import explain
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import places, table
from fondant_spec.runners import RUNNERS, default_runner
from fondant_spec.runners.protocol import Runner, Settings
from fondant_spec.runners.step_settings import add_options as add_step_options
from fondant_spec.runners.step_settings import as_usage, change_steps, check_retries
from fondant_spec.shown_text import tell

Build = Callable[[argparse.Namespace], Pipeline]
During = Callable[[], AbstractContextManager[object]]

_NO_SETTINGS: Final[Settings] = MappingProxyType({})


def launch(
    build: Build,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    *,
    during: During | None = None,
    settings: Settings = _NO_SETTINGS,
    runners: Mapping[str, type[Runner]] = RUNNERS,
) -> int:
    """Build a pipeline and run it, or describe what would run. Returns the exit code.

    With this process's own command line, it exits instead.

    Args:
        build: builds the pipeline from the options, which include `--base-path`.
        parser: has the pipeline file's own options; the common ones are added to it.
        argv: the words of the command line; by default those of this process.
        during: a context to hold while the pipeline runs, such as a server on this machine; not
            entered if the runner knows that nothing has to run.
        settings: where the pipeline runs: HOST and further settings of the runners, by name.
        runners: the available runners, by name.
    """
    add_options(parser, runners)
    options = parser.parse_args(argv)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP is sent when a terminal is closed
        if signal.getsignal(ending) != signal.SIG_IGN:  # unless run under nohup
            signal.signal(ending, signal.default_int_handler)  # also ends the steps
    code = exit_code(
        lambda: _launch(build, options, during, settings, runners),
        interrupted="interrupted; what is finished is kept, run again to go on",
        debug=options.debug,
    )
    return end_program(code) if argv is None else code


def _launch(
    build: Build,
    options: argparse.Namespace,
    during: During | None,
    settings: Settings,
    runners: Mapping[str, type[Runner]],
) -> None:
    package: Path | None = options.compile_only
    name = options.runner or default_runner(settings, package=package is not None)
    runner = runners[name].from_settings(settings, options)
    if not (options.dry_run or package):
        runner.check()
    pipeline = _built(build, options)
    change_steps(pipeline, options)
    with as_usage():
        runner.adapt(pipeline)
    plan = pipeline.plan()
    if not package:
        check_retries(plan)
        runner.check_plan(plan)
    if options.dry_run:
        tell(describe(plan, all_arguments=options.all))
    elif package:
        _write_package(runner, name, plan, package)
        tell("\n".join([*runner.doubts(plan), f"wrote {package}"]))
    else:
        with nullcontext() if during is None or runner.is_done(plan) else during():
            results = runner.run(plan)
        if results:
            tell(f"\n{table(results)}")
        for result in results:
            for place in places(result.manifest.artifacts):
                tell(f"\n{result.step_id} wrote {place}")


def add_options(parser: argparse.ArgumentParser, runners: Mapping[str, type[Runner]]) -> None:
    """Add the options of every pipeline file, and those of the runners."""
    parser.add_argument(
        "--runner",
        choices=list(runners),
        help="where the steps run (default: kubeflow if HOST is set, else local)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan - steps, arguments, cache hits to come - and run nothing",
    )
    parser.add_argument(
        "--compile-only",
        type=Path,
        metavar="FILE",
        help="write the package that the runner would submit, by default for Kubeflow, and run "
        "nothing",
    )
    parser.add_argument(
        "--all", action="store_true", help="with --dry-run, arguments at their defaults as well"
    )
    add_step_options(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of a defect")
    for runner in runners.values():
        runner.add_options(parser)


def describe(plan: Plan, *, all_arguments: bool = False) -> str:
    """Describe a plan: each step, its arguments, and whether it will run.

    Arguments with default values are omitted unless `all_arguments` is set.
    """
    lines = [f"pipeline {plan.pipeline_name} at {plan.base_path}"]
    for planned, line in zip(plan.steps, explain(plan), strict=True):
        lines += ["", line]
        if planned.step.after:
            lines.append(f"  after      {', '.join(planned.step.after)}")
        lines.append(f"  component  {planned.spec.path}")
        declared = planned.spec.arguments
        shown = {
            name: value
            for name, value in planned.arguments.items()
            if all_arguments or value != declared[name].default
        }
        lines += [f"  {name} = {value!r}" for name, value in shown.items()]
        if left := len(planned.arguments) - len(shown):
            lines.append(f"  defaults   {left} more arguments; --all shows them")
        lines.append(f"  fields     {', '.join(planned.fields) or '-'}")
    return "\n".join(lines)


def _built(build: Build, options: argparse.Namespace) -> Pipeline:
    """Build a pipeline; a wrong argument in its file is not reported as wrong usage."""
    try:
        return build(options)
    except InvalidArgumentError as error:
        raise InvalidPipelineError(str(error)) from None


def _write_package(runner: Runner, name: str, plan: Plan, file: Path) -> None:
    package = runner.compile(plan)
    if not isinstance(package, str):
        msg = f"--compile-only: the runner {name!r} starts commands and has no package to write."
        raise InvalidArgumentError(msg)
    try:
        file.write_text(package, encoding="utf-8")
    except OSError as error:
        msg = f"--compile-only {file}: cannot be written ({error.strerror})."
        raise InvalidArgumentError(msg) from None
