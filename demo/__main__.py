"""Make what the offline demo reads: `python -m demo`."""

import argparse
from pathlib import Path

from demo.collection import ROOT
from demo.prepare import prepare

parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
parser.add_argument("root", nargs="?", type=Path, default=ROOT)
print(prepare(parser.parse_args().root))
