"""`fondant-spec report DATASET`: what a dataset is like, as one HTML file and as JSON.

DuckDB and the rest load when the command runs: this module is part of the command line, which
starts without them.
"""

import argparse

from explorer.extra import need
from fondant_spec.dataset import storage
from fondant_spec.dataset.trusted_places import trust
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.pipeline.find_dataset import find_dataset
from fondant_spec.shared_options import add_base_path, add_dataset, add_trust
from fondant_spec.shown_text import tell


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `report` to the commands of `fondant-spec`."""
    parser = commands.add_parser("report", help="tell what a dataset is like, on one page")
    add_dataset(parser)
    add_base_path(parser)
    parser.add_argument(
        "--into", metavar="FILE", help="the page (default: report.html, but with --json none)"
    )
    parser.add_argument("--json", metavar="FILE", help="the same as JSON")
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

    trust(map(storage.normalize, args.trust))
    manifest = find_dataset(args.dataset, args.base_path)
    report = report_of(manifest, args.batch)
    into = args.into or (None if args.json else "report.html")
    for file, made in ((into, page_of), (args.json, as_json)):
        if file is not None:
            place = storage.normalize(file)
            storage.write_text(place, made(report))
            tell(f"report of {manifest.step_id}: {place}")
    return 0
