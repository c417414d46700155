r"""From seeds to a dataset, a model fine-tuned on it, and measurements of its effect.

    load_from_hub -> ... -> caption_images -> split_rows -> fine_tune -> generate_images
                                                   \                          tuned \
                                                    `-----------------> generate_images > evaluate
                                                                                 base /

This is the pipeline of `pipeline.py`, with the same environment settings and four more kinds of
steps. A tenth of the images is held out. Their captions are the prompts from which the base and the
tuned model generate an image each, starting from the same noise. evaluate_images compares these
with the held-out images, and its `report.html` says whether the dataset helped.

    python examples/train_and_evaluate.py --config examples/recipes/lora_512.yaml

Recipes: `lora_512.yaml` for one small GPU, `full_512.yaml`, and `full_epochs.yaml`, by epochs. Any
argument can be given as well: --set fine_tune.learning_rate=1e-5
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch
from image_toolkit.training.base_models import BASE_MODELS
from pipeline import COMPONENTS, build, clip_model, gpu_resources
from pipeline_configs import PipelineConfigs

GRID = {"guidance_scale": [7.5, 5.0, 10.0], "num_inference_steps": [50, 25]}
GRID_TYPE = {"type": "array", "items": {"type": "binary"}}


def with_training(
    pipeline: Pipeline, configs: PipelineConfigs, base_model: str, *, grid: bool = False
) -> Pipeline:
    """Add training on the exported rows, and the evaluation of the result, to a pipeline.

    With `grid`, the tuned model generates each prompt with all pairs of guidance scale and steps;
    the models are compared by the first pair.
    """
    gpu = gpu_resources(configs)
    images = pipeline.add(COMPONENTS / "split_rows", after=pipeline.steps["export_dataset"].after)
    tuned = pipeline.add(
        COMPONENTS / "fine_tune",
        after=images,
        arguments={"model_id": base_model},
        resources=gpu,
    )
    samples = [
        pipeline.add(
            COMPONENTS / "generate_images",
            step_id=f"generate_{name}",
            after=after,
            arguments={"model_id": model, "split": "validation"},
            produces={"generated_image": f"{name}_image"},
            resources=gpu,
        )
        for name, after, model in (("base", images, base_model), ("tuned", tuned, None))
    ]
    if grid:
        produces = {"generated_image": "tuned_image", "generated_grid": GRID_TYPE}
        pipeline.change("generate_tuned", arguments=GRID, produces=produces)
    pipeline.add(
        COMPONENTS / "evaluate_images",
        after=samples,
        consumes={"grid": "generated_grid"} if grid else {},
        arguments={"clip_model_id": clip_model(configs)},
        resources=gpu,
    )
    return pipeline


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, and run the pipeline or show its plan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    configs = PipelineConfigs.from_environment()
    parser.add_argument(
        "--base-path", default=configs.BASE_PATH, help="where all lands (default: BASE_PATH)"
    )
    parser.add_argument(
        "--model",
        default=BASE_MODELS["sd15"].hub_id,
        help="the Stable Diffusion to fine-tune: a hub id, or a folder (default: %(default)s)",
    )

    parser.add_argument(
        "--grid",
        action="store_true",
        help="have the report show each prompt drawn with several guidance scales and steps",
    )

    def build_it(options: argparse.Namespace) -> Pipeline:
        settings = replace(configs, BASE_PATH=options.base_path)
        return with_training(build(settings), settings, options.model, grid=options.grid)

    return launch(build_it, parser, argv, settings=asdict(configs))


if __name__ == "__main__":
    sys.exit(main())
