"""Captions for images that you have: load, caption, export.

    python examples/caption_my_images.py --dataset FOLDER [--resize 512] [--min-size 256]

FOLDER holds images, or is any dataset that load_from_hub takes. Near copies are named in the log.
All arguments of the steps can be given as well: --set caption_images.trigger_word=sks
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch

EXAMPLES = Path(__file__).parent
COMPONENTS = EXAMPLES.parent / "components"


def build(options: argparse.Namespace) -> Pipeline:
    """Describe the pipeline."""
    pipeline = Pipeline("my-captions", options.base_path)
    keep = options.keep_captions is not None
    images = pipeline.add(
        COMPONENTS / "load_from_hub",
        arguments={
            "dataset_name": options.dataset,
            "image_column": options.image_column,
            "column_name_mapping": {options.keep_captions: "caption"} if keep else {},
        },
        produces={"caption": "string"} if keep else {},
    )
    if options.resize or options.min_size:
        images = pipeline.add(
            EXAMPLES / "fit_images",
            after=images,
            arguments={"image_size": options.resize, "min_size": options.min_size},
        )
    pipeline.add(EXAMPLES / "near_copies", after=images)
    captions = pipeline.add(
        COMPONENTS / "caption_images",
        after=images,
        arguments={"model_id": options.model, "keep_existing": keep},
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
    parser.add_argument(
        "--resize", type=int, metavar="PIXELS", help="scale shorter sides down to this"
    )
    parser.add_argument(
        "--min-size", type=int, default=0, metavar="PIXELS", help="least shorter side"
    )
    parser.add_argument(
        "--keep-captions",
        nargs="?",
        const="text",
        metavar="COLUMN",
        help="keep captions that images have, in this column or (text) in files beside them",
    )
    parser.add_argument("--model", default="Salesforce/blip-image-captioning-base")
    parser.add_argument("--base-path", default="artifacts", help="where the steps write")
    return launch(build, parser, argv, settings=os.environ)


if __name__ == "__main__":
    sys.exit(main())
