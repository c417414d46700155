"""Print what a trainer's own reader finds in an export, one JSON object per line.

    python trainer_readers TRAINER CHECKOUT    in the folder of the export

It runs in the trainer's environment, and uses nothing of this repository except this folder.
"""

import json
import runpy
import sys
from pathlib import Path


def main() -> int:
    """Import the checkout's modules, then the reader that uses them."""
    trainer, checkout = sys.argv[1:]
    found = sys.stdout
    sys.stdout = sys.stderr  # trainers print to it
    readers, sys.path[:1] = Path(sys.path[0]), [checkout, str(Path(checkout) / "src")]
    pairs = runpy.run_path(str(readers / f"{trainer.replace('-', '_')}.py"))["pairs"]
    for split, file, *read in pairs():
        told = dict(zip(("captions", "masked", "repeats"), read, strict=True))
        line = {"split": split, "stem": Path(file).stem, **told}
        print(json.dumps(line), file=found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
