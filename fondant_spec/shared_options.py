"""What several commands of the command line take, declared once."""

import argparse
import os


def add_dataset(parser: argparse.ArgumentParser, more: str = "", nargs: str | None = None) -> None:
    """Add the argument that names a dataset, or several; `more` says what else it may name."""
    text = "a step, for its newest result; or a manifest, or the folder that holds it"
    parser.add_argument("dataset", help=text + more, nargs=nargs)


def add_base_path(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where names are looked for."""
    parser.add_argument(
        "--base-path",
        default=os.environ.get("BASE_PATH", "./artifacts"),
        help="where steps and runs are looked for (default: BASE_PATH, else ./artifacts)",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets a dataset reach further."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PATH",
        help="also read what the dataset names below this folder or URL, outside of its base path; "
        "repeatable",
    )
