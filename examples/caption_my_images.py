"""Captions for images that you have: load, caption, export.

    python examples/caption_my_images.py --dataset FOLDER [--image-column COLUMN] [--model ID]

FOLDER holds images, or is any dataset that load_from_hub takes. All arguments of the steps can be
given as well: --set caption_images.trigger_word=sks
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch

COMPONENTS = Path(__file__).parents[1] / "components"


def build(options: argparse.Namespace) -> Pipeline:
    """Describe the pipeline."""
    pipeline = Pipeline("my-captions", options.base_path)
    images = pipeline.add(
        COMPONENTS / "load_from_hub",
        arguments={"dataset_name": options.dataset, "image_column": options.image_column},
    )
    captions = pipeline.add(
        COMPONENTS / "caption_images", after=images, arguments={"model_id": options.model}
    )
    pipeline.add(COMPONENTS / "export_dataset", after=captions)
    return pipeline


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, and run the pipeline."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help="a folder, a file, or a hub id")
    parser.add_argument("--image-column", default="image")
    parser.add_argument("--model", default="Salesforce/blip-image-captioning-base")
    parser.add_argument("--base-path", default="artifacts", help="where the steps write")
    return launch(build, parser, argv, settings=os.environ)


if __name__ == "__main__":
    sys.exit(main())
