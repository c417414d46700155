"""`fondant-spec report DATASET`: what a dataset is like, as one HTML file and as JSON.

DuckDB and the rest load when the command runs: this module is part of the command line, which
starts without them.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from explorer.extra import need
from fondant_spec.dataset import storage
from fondant_spec.dataset.trust_option import trust
from fondant_spec.dataset.writable_places import why_no_file
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.pipeline.find_dataset import find_dataset
from fondant_spec.shared_options import add_base_path, add_dataset, add_trust
from fondant_spec.shown_text import tell

if TYPE_CHECKING:
    from explorer.report.report import Report

_INTO: Final = "--into"
_JSON: Final = "--json"


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `report` to the commands of `fondant-spec`."""
    parser = commands.add_parser("report", help="tell what a dataset is like, on one page")
    add_dataset(parser)
    add_base_path(parser)
    parser.add_argument(
        _INTO, metavar="FILE", help="the page (default: report.html, but with --json none)"
    )
    parser.add_argument(_JSON, metavar="FILE", help="the same as JSON")
    parser.add_argument(
        "--batch",
        type=int,
        default=4,
        help="images of a batch: buckets with fewer are told (default: 4)",
    )
    add_trust(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Write the report, and return the exit code.

    Raises:
        FondantError: something that the user can put right.
    """
    need("report", "duckdb", "jinja2", "tokenizers")
    if args.batch < 1:
        msg = f"--batch must be 1 or more, not {args.batch}."
        raise InvalidArgumentError(msg)
    from explorer.report.page import page_of  # noqa: PLC0415
    from explorer.report.report import report_of  # noqa: PLC0415
    from image_toolkit.plain_json import as_json  # noqa: PLC0415

    trust(args.trust)
    places = {
        option: storage.normalize(file) for option, file in _asked(args).items() if file is not None
    }
    for option, place in places.items():
        if why := why_no_file(place):
            raise _unwritable(option, why)
    manifest = find_dataset(args.dataset, args.base_path)
    report = report_of(manifest, args.batch)
    makers: dict[str, Callable[[Report], str]] = {_INTO: page_of, _JSON: as_json}
    for option, place in places.items():
        try:
            storage.write_text(place, makers[option](report))
        except OSError as error:
            raise _unwritable(option, f"{place}: {error.strerror or error}") from error
        tell(f"report of {manifest.step_id}: {place}")
    return 0


def _asked(args: argparse.Namespace) -> dict[str, str | None]:
    """Return where to write to, by option: the page goes somewhere unless only JSON is wanted."""
    return {_INTO: args.into or (None if args.json else "report.html"), _JSON: args.json}


def _unwritable(option: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{option}: {why}; name a file in a folder that you may write to.")
