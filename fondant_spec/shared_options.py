"""Arguments shared by several commands of the command line."""

import argparse
import os


def add_dataset(parser: argparse.ArgumentParser, more: str = "", nargs: str | None = None) -> None:
    """Add the argument that names one or several datasets; `more` says what else it may name."""
    text = "a step, for its newest result; or a manifest, or the folder that holds it"
    parser.add_argument("dataset", help=text + more, nargs=nargs)


def add_base_path(parser: argparse.ArgumentParser) -> None:
    """Add the option that sets the base path under which names are resolved."""
    parser.add_argument(
        "--base-path",
        default=os.environ.get("BASE_PATH", "./artifacts"),
        help="where steps and runs are looked for (default: BASE_PATH, else ./artifacts)",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option that allows a dataset to refer to further places."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PATH",
        help="also read what the dataset names below this folder or URL, outside of its base path; "
        "repeatable",
    )
