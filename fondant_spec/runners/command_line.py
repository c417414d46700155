"""The command line of a pipeline file: `python pipeline.py [options]`."""

import argparse
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.exit_codes import exit_code
from fondant_spec.pipeline.explain import explain
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import table
from fondant_spec.runners import RUNNERS, default_runner
from fondant_spec.runners.protocol import Runner, Settings
from fondant_spec.spec.executor_options import ALL_REASONS

Build = Callable[[argparse.Namespace], Pipeline]
During = Callable[[], AbstractContextManager[object]]

_NO_SETTINGS: Final[Settings] = MappingProxyType({})


def launch(
    build: Build,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    *,
    during: During = nullcontext,
    settings: Settings = _NO_SETTINGS,
    runners: Mapping[str, type[Runner]] = RUNNERS,
) -> int:
    """Build a pipeline and run it, or tell what would be run. Returns the exit code.

    Args:
        build: makes the pipeline from the options; `--base-path` is among them.
        parser: has the pipeline file's own options; the common ones are added to it.
        argv: the words of the command line; by default those of this process.
        during: what must hold while the pipeline runs, such as a server on this machine.
        settings: where the pipeline runs: HOST and what else the runners know, by name.
        runners: the places to choose from, by name.
    """
    add_options(parser, runners)
    options = parser.parse_args(argv)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # the second one as a terminal is closed
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(ending, signal.default_int_handler)  # ends the steps, too
    return exit_code(
        lambda: _launch(build, options, during, settings, runners),
        interrupted="interrupted; what is finished is kept, run again to go on",
        debug=options.debug,
    )


def _launch(
    build: Build,
    options: argparse.Namespace,
    during: During,
    settings: Settings,
    runners: Mapping[str, type[Runner]],
) -> None:
    package: Path | None = options.compile_only
    name = options.runner or default_runner(settings, package=package is not None)
    runner = runners[name].from_settings(settings, options)
    if not (options.dry_run or package):
        runner.check()
    pipeline = build(options)
    for setting in options.set:
        pipeline.override(*_setting(setting))
    for again in options.retry:
        step_id, _, reasons = again.partition("=")
        pipeline.change(step_id, retry=reasons.split(",") if reasons else [ALL_REASONS])
    runner.adapt(pipeline)
    plan = pipeline.plan()
    if options.dry_run:
        print(describe(plan))
    elif package:
        _write_package(runner, name, plan, package)
        print("\n".join([*runner.doubts(plan), f"wrote {package}"]))
    else:
        with during():
            results = runner.run(plan)
        if results:
            print(f"\n{table(results)}")
        for result in results:
            for place in _places(result.manifest.artifacts):
                print(f"\n{result.step_id} wrote {place}")


def add_options(parser: argparse.ArgumentParser, runners: Mapping[str, type[Runner]]) -> None:
    """Add the options that every pipeline file has, and those of the runners."""
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
    parser.add_argument("--debug", action="store_true", help="show the traceback of a defect")
    for runner in runners.values():
        runner.add_options(parser)


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


def _places(artifacts: Sequence[str]) -> list[str]:
    """Return where artifacts are, for a person to look there: their folder, if they share one."""
    folders = {storage.parent(path) for path in artifacts}
    return sorted(folders) if len(folders) < len(artifacts) else list(artifacts)


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


def _setting(text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    step_id, dot, argument = name.rpartition(".")
    if not equals or not dot or not step_id or not argument:
        msg = f"--set {text}: expected STEP.ARGUMENT=VALUE, such as caption_images.num_beams=3."
        raise InvalidArgumentError(msg)
    return step_id, argument, value
