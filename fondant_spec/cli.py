"""`fondant-spec`: what a user needs on a dataset that a pipeline wrote, and on an index.

One of the few places that print: a component's and a pipeline file's own command line do, too.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from fondant_spec import __version__
from fondant_spec.cpu import wait_patiently
from fondant_spec.dataset import storage
from fondant_spec.dataset.disk_space import disk_use
from fondant_spec.dataset.trust_option import trust
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.exit_codes import end_program, exit_code
from fondant_spec.option_values import count
from fondant_spec.pipeline import garbage_collection as gc
from fondant_spec.pipeline.find_dataset import find_dataset, find_mark, find_unfinished
from fondant_spec.pipeline.find_run import find_run
from fondant_spec.pipeline.run_listing import describe_runs, when
from fondant_spec.plain_words import size
from fondant_spec.push_command import add_push
from fondant_spec.shared_options import add_base_path, add_dataset, add_trust
from fondant_spec.shown_text import tell

COMMANDS: Final = "fondant_spec.commands"
"""The entry points of packages that add a command: functions that are given the sub-parsers."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: with words, return the exit code; with this process's own, end it."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and options.command not in (_execute, _explain):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    if argv is None:
        wait_patiently()
    code = exit_code(lambda: options.command(options), debug=options.debug)
    return end_program(code) if argv is None else code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fondant-spec", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    validate = commands.add_parser(
        "validate", help="check a dataset against its manifest, and what was exported of it"
    )
    add_dataset(validate, "; or the folder of an export, wherever it lies", nargs="+")
    add_trust(validate)
    add_base_path(validate)
    validate.set_defaults(command=_validate)

    _add_show(commands)
    runs = commands.add_parser("runs", help="list the runs below a base path")
    runs.add_argument("pipeline", nargs="?", help="only those of this pipeline")
    add_base_path(runs)
    runs.set_defaults(command=_runs)
    _add_watching(commands)

    explain = commands.add_parser("explain", help="say why each step of a pipeline file would run")
    explain.add_argument("pipeline", help="the file, such as pipeline.py; its options follow")
    explain.set_defaults(command=_explain)

    _add_gc(commands)
    add_push(commands)
    _add_execute(commands)
    for command in entry_points(group=COMMANDS):
        if find_spec(command.module.partition(".")[0]):  # a component's image has not all packages
            command.load()(commands)
    text = "show the traceback of a defect"
    parser.add_argument("--debug", action="store_true", help=text)
    for sub in commands.choices.values():  # before a command or after it
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=text)
    return parser


def _add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    show = commands.add_parser("show", help="list the fields, rows and rejects of a dataset")
    add_dataset(show)
    add_trust(show)
    add_base_path(show)
    what = show.add_mutually_exclusive_group()
    what.add_argument(
        "--id",
        metavar="NAME",
        help="say where a row came from, or in which step it ended: by its id, file name or URL",
    )
    what.add_argument(
        "--rejects",
        nargs="?",
        const="",
        metavar="REASON",
        help="list the rows that the step gave up on, or those with one reason",
    )
    show.add_argument("--all", action="store_true", help="list all rejects, messages to their end")
    show.set_defaults(command=_show)


def _add_watching(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = commands.add_parser("status", help="say how far a run is, or how it went")
    status.add_argument("run", nargs="?", help="a run, or a pipeline for its newest; else any")
    how = status.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print it as JSON")
    how.add_argument("--events", action="store_true", help="print each partition as a JSON line")
    add_base_path(status)
    status.set_defaults(command=_status)

    diff = commands.add_parser("diff", help="say what differs between two runs")
    diff.add_argument("old", help="a run, or a pipeline for its newest")
    diff.add_argument("new", help="another one")
    add_base_path(diff)
    diff.set_defaults(command=_diff)

    plan = commands.add_parser("plan", help="say what a run of many rows would cost")
    plan.add_argument("run", nargs="?", help="whose rates are taken; else the newest run's")
    plan.add_argument("--rows", type=count, required=True, help="rows that are wanted at the end")
    plan.add_argument("--workers", type=count, default=1, help="that share each step (default: 1)")
    add_base_path(plan)
    plan.set_defaults(command=_plan)


def _add_gc(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    collect = commands.add_parser("gc", help="remove results that no run refers to")
    collect.add_argument("base_path", help="the BASE_PATH of the pipeline")
    collect.add_argument("pipeline", help="the name of the pipeline")
    collect.add_argument("--keep-runs", type=int, help="forget all but the newest so many runs")
    collect.add_argument("--delete", action="store_true", help="remove; without it, only list")
    collect.set_defaults(command=_gc)


def _add_execute(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    execute = commands.add_parser(
        "execute", help="run one component, as a runner does", add_help=False
    )
    execute.add_argument("component", help="the folder of the component; its arguments follow")
    execute.add_argument(
        "-h", "--help", action=_HelpOfComponent, help="list the arguments of the component"
    )
    execute.set_defaults(command=_execute)


class _HelpOfComponent(argparse.Action):
    """Help on the component that was named before; on the command where none was."""

    def __init__(self, option_strings: Sequence[str], dest: str, **keywords: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, **keywords)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,  # noqa: ARG002 - argparse hands it over
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Ask for the component's help, or print the command's and end."""
        if namespace.component is None:
            parser.print_help()
            parser.exit()
        setattr(namespace, self.dest, True)


def _validate(options: argparse.Namespace) -> int:
    from fondant_spec.dataset import validate  # noqa: PLC0415 - the run side loads when needed

    trust(options.trust)
    for name in options.dataset:
        if mark := find_mark(name):
            count = validate.check_written(mark)
            tell(f"{storage.parent(mark)}: {count} files, all as they were written.")
        else:
            manifest = find_dataset(name, options.base_path)
            validate.check(manifest, named=options.dataset)
            tell(f"{manifest.location}: {manifest.rows} rows, all as the manifest says.")
    return 0


def _show(options: argparse.Namespace) -> int:
    from fondant_spec.dataset import lineage as show  # noqa: PLC0415
    from fondant_spec.dataset import reject_listing as rejects  # noqa: PLC0415
    from fondant_spec.dataset.row_search import told_row  # noqa: PLC0415

    trust(options.trust)
    most = None if options.all else rejects.FIRST
    if options.rejects is not None and (failed := find_unfinished(options.dataset)):
        tell(rejects.list_unfinished_rejects(failed, options.rejects, most))
        return 0
    manifest = find_dataset(options.dataset, options.base_path)
    tell(f"step      {show.origin(manifest)}")
    if options.id:
        tell(told_row(manifest, options.id))
    elif options.rejects is not None:
        tell(rejects.list_rejects(manifest, options.rejects, most))
    else:
        tell(show.describe(manifest))
        tell(f"ids       {', '.join(show.some_ids(manifest)) or 'none'}")
    return 0


def _runs(options: argparse.Namespace) -> int:
    tell(describe_runs(options.base_path, options.pipeline))
    return 0


def _status(options: argparse.Namespace) -> int:
    import json  # noqa: PLC0415

    from fondant_spec.pipeline import run_status as status  # noqa: PLC0415

    base_path = storage.normalize(options.base_path)
    run = find_run(base_path, options.run)
    steps = status.step_statuses(base_path, run)
    if options.events:
        tell(status.events_lines(steps))
    elif options.json:
        told = {"pipeline": run.pipeline, "run": run.id, "started": run.started, "state": run.state}
        tell(json.dumps(told | {"steps": [step.to_dict() for step in steps]}, indent=2))
    else:
        title = f"{run.pipeline}, run {run.id}: {run.state}, since {when(run)} UTC"
        tell(status.describe(title, steps))
    return 0


def _diff(options: argparse.Namespace) -> int:
    from fondant_spec.pipeline.run_diff import describe_diff  # noqa: PLC0415

    base_path = storage.normalize(options.base_path)
    old, new = find_run(base_path, options.old), find_run(base_path, options.new)
    tell(describe_diff(base_path, old, new))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from fondant_spec.pipeline.estimate import describe_estimate, measured  # noqa: PLC0415

    base_path = storage.normalize(options.base_path)
    run = find_run(base_path, options.run)
    costs = measured(base_path, run)
    tell(describe_estimate(run, costs, options.rows, options.workers))
    return 0


def _explain(options: argparse.Namespace) -> int:
    import subprocess  # noqa: PLC0415

    if not Path(options.pipeline).is_file():
        msg = f"{options.pipeline}: there is no such file; name that of a pipeline."
        raise InvalidArgumentError(msg)
    debug = ["--debug"] if options.debug else []
    command = [sys.executable, options.pipeline, "--dry-run", *debug, *options.rest]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - the user's own file


def _gc(options: argparse.Namespace) -> int:
    base_path = storage.normalize(options.base_path)
    collect = partial(gc.collect, base_path, options.pipeline, keep_runs=options.keep_runs)
    sizes = {folder: disk_use(folder) for folder in collect()}
    garbage = collect(delete=True) if options.delete else list(sizes)
    tell("\n".join(garbage) if garbage else "nothing to remove")
    if garbage:
        freed = size(sum(sizes.get(folder, 0) for folder in garbage))
        done = "removed" if options.delete else "would remove"
        tell(f"{done} {len(garbage)} folders, {freed}")
    return 0


def _execute(options: argparse.Namespace) -> int:
    from fondant_spec.worker.component_code import component_class  # noqa: PLC0415
    from fondant_spec.worker.run_step import execute_words  # noqa: PLC0415

    words = ["--help"] if options.help else options.rest
    return execute_words(component_class(Path(options.component)), words)


if __name__ == "__main__":
    main()
