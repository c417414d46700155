"""The pipeline whose result is explored: real photographs, vectors, captions, an export."""

import argparse
import sys
from pathlib import Path

from demo.tiny_models import BLIP_FOLDER, CLIP_FOLDER
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch
from image_toolkit.edits.replay import with_edits

COMPONENTS = Path(__file__).parents[2] / "components"


def build(options: argparse.Namespace) -> Pipeline:
    """Describe the steps."""
    pipeline = Pipeline("explored", options.base_path)
    images = pipeline.add(
        COMPONENTS / "load_from_hub",
        arguments={"dataset_name": options.dataset},
        max_reject_share=1,
    )
    vectors = pipeline.add(
        COMPONENTS / "image_embedding", after=images, arguments={"model_id": str(CLIP_FOLDER)}
    )
    captions = pipeline.add(
        COMPONENTS / "caption_images", after=vectors, arguments={"model_id": str(BLIP_FOLDER)}
    )
    corrected = with_edits(pipeline, captions, COMPONENTS / "apply_edits")
    pipeline.add(COMPONENTS / "export_dataset", after=corrected)
    return pipeline


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-path", required=True)
    parser.add_argument("--dataset", required=True)
    sys.exit(launch(build, parser))
