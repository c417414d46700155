"""Prepare the files of the offline demo: `python -m demo`."""

import argparse
from pathlib import Path

from demo.collection import ROOT
from demo.prepare import prepare

if __name__ == "__main__":  # the worker processes that make the collection import this module too
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT)
    print(prepare(parser.parse_args().root))
