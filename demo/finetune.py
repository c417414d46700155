"""Fine-tune the demo's tiny Stable Diffusion on a cat: `python -m demo.finetune [options]`.

The model was trained on fifteen of the photographs, and has never seen the cat. The pipeline of
`examples/train_and_evaluate.py` makes a dataset of cats and coffee, trains on it, generates images
for the held-out captions with both models, and compares them. A control runs alongside: the same
training on the same images with their captions shuffled. Offline, on two cores.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from demo import DIFFUSION_FOLDER
from demo.finetune_report import tell
from demo.photos import SUBJECTS
from demo.run import adapt, command_line, configure, prepared, served
from examples.train_and_evaluate import with_training
from fondant_spec.exit_codes import exit_code
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.command_line import launch
from pipeline import COMPONENTS, build
from pipeline_configs import PipelineConfigs

PROMPTS: Final = Path(__file__).with_name("finetune_prompts.yaml")
"""The prompts for the dataset's images."""

SHUFFLES: Final = Path(__file__).parents[1] / "examples" / "shuffle_captions"

SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "laion_retrieval": {"num_images": 60},
    "split_rows": {"validation_fraction": 0.3},
}
TRAINING: Final = {
    "method": "full",
    "resolution": 64,
    "center_crop": True,
    "train_batch_size": 16,
    "max_train_steps": 600,
    "validation_steps": 100,
    "learning_rate": 5e-4,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 20,
    "caption_dropout": 0.1,
}
DRAWING: Final = {"num_inference_steps": [20], "guidance_scale": [3.0]}
EVALUATION: Final = {"labels": [*SUBJECTS]}


def with_control(pipeline: Pipeline) -> Pipeline:
    """Set the arguments for a model and a collection this small, and add the control."""
    for step_id, arguments in SETTINGS.items():
        pipeline.change(step_id, arguments=arguments)
    pipeline.change("fine_tune", arguments=TRAINING)
    for name in ("base", "tuned"):
        pipeline.change(f"generate_{name}", arguments=DRAWING)
    pipeline.change("evaluate_images", arguments=EVALUATION)
    tuned = pipeline.add(
        COMPONENTS / "fine_tune",
        step_id="fine_tune_shuffled",
        after=pipeline.add(SHUFFLES, after="split_rows"),
        consumes={"caption": "shuffled_caption"},
        arguments=pipeline.steps["fine_tune"].arguments,
    )
    drawn = pipeline.add(
        COMPONENTS / "generate_images",
        step_id="generate_shuffled",
        after=tuned,
        arguments=pipeline.steps["generate_tuned"].arguments,
        produces={"generated_image": "shuffled_image"},
    )
    pipeline.add(
        COMPONENTS / "evaluate_images",
        step_id="evaluate_shuffled",
        after=["generate_base", drawn],
        consumes={"tuned_image": "shuffled_image"},
        arguments=pipeline.steps["evaluate_images"].arguments,
    )
    return pipeline


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pipeline from the command line, and report; return 1 if fine-tuning did not help."""
    settings = PipelineConfigs.from_environment()
    parser = command_line("python -m demo.finetune", __doc__, settings)
    words = sys.argv[1:] if argv is None else argv
    ran: list[str] = []

    def build_it(options: argparse.Namespace) -> Pipeline:
        configs = configure({**os.environ, "PROMPTS": str(PROMPTS)})
        configs = replace(configs, BASE_PATH=options.base_path)
        if not options.dry_run:
            prepared(configs)
            ran.append(options.base_path)
        described = with_training(adapt(build(configs)), configs, str(DIFFUSION_FOLDER))
        return with_control(described)

    code = launch(build_it, parser, words, during=served, settings=asdict(settings))
    if code or not ran:
        return code
    return exit_code(lambda: tell(ran[0]), debug=False)


if __name__ == "__main__":  # the worker processes that make the collection import this module too
    sys.exit(main())
