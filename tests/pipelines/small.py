"""A pipeline of small components, as in a user's own file."""

import argparse
import sys
from pathlib import Path

from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.runners.command_line import launch

COMPONENTS = Path(__file__).parents[1] / "components"


def build(options: argparse.Namespace) -> Pipeline:
    """Describe the steps."""
    pipeline = Pipeline("small", options.base_path)
    numbers = pipeline.add(COMPONENTS / "numbers", rows_per_partition=4)
    double = pipeline.add(COMPONENTS / "double", after=numbers, workers=1)
    pipeline.add(COMPONENTS / "waits", after=double, consumes={"number": "double"}, workers=1)
    return pipeline


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-path", required=True)
    sys.exit(launch(build, parser))
