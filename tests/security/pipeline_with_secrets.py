"""A pipeline file whose steps get secrets by name: `python pipeline_with_secrets.py`."""

import argparse
import os
import sys
from pathlib import Path

from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch

COMPONENTS = Path(__file__).parents[1] / "components"


def build(options: argparse.Namespace) -> Pipeline:
    """Return the pipeline: one step is given a variable, one a file."""
    pipeline = Pipeline("small", options.base_path)
    numbers = pipeline.add(COMPONENTS / "numbers", arguments={"rows": 3})
    for name, secret in (("variable", "env:INNOCENT"), ("file", f"file:{options.secret_file}")):
        pipeline.add(
            COMPONENTS / "leak",
            step_id=name,
            after=numbers,
            arguments={"secret": secret},
            workers=1,
        )
    return pipeline


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-path", default="artifacts")
    parser.add_argument("--secret-file")
    return launch(build, parser, settings=os.environ)


if __name__ == "__main__":
    sys.exit(main())
