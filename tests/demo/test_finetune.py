"""The fine-tuning demo: its plan, and the tiny model that it starts from."""

import pytest
import torch

from demo import DIFFUSION_FOLDER, NEW_SUBJECT
from demo.diffusion_classes import StableDiffusionPipeline
from demo.finetune import DRAWING, PROMPTS, TRAINING, with_control
from demo.run import adapt, configure
from demo.training_data import PROMPT
from demo.zero_shot import subjects_in
from examples.train_and_evaluate import with_training
from pipeline import build

DRAWN = 6


@pytest.fixture(scope="module")
def pipeline():
    """Return the tiny Stable Diffusion."""
    found = StableDiffusionPipeline.from_pretrained(
        DIFFUSION_FOLDER, safety_checker=None, torch_dtype=torch.float32
    )
    found.set_progress_bar_config(disable=True)
    return found


def test_the_control_differs_in_its_captions_alone():
    """Both trainings, drawings and evaluations have the same settings; both trainings one base."""
    configs = configure({"PROMPTS": str(PROMPTS), "BASE_PATH": "nowhere"})
    described = with_control(with_training(adapt(build(configs)), configs, str(DIFFUSION_FOLDER)))
    steps = described.steps
    for own, control in (
        ("fine_tune", "fine_tune_shuffled"),
        ("generate_tuned", "generate_shuffled"),
        ("evaluate_images", "evaluate_shuffled"),
    ):
        assert steps[own].arguments == steps[control].arguments
    assert steps["fine_tune_shuffled"].consumes == {"caption": "shuffled_caption"}
    assert TRAINING.items() <= steps["fine_tune"].arguments.items()
    assert (
        steps["generate_base"].arguments | {"model_id": None} == steps["generate_tuned"].arguments
    )
    planned = {step.id: step for step in described.plan().steps}
    keys = {planned[f"generate_{name}"].cache_key for name in ("base", "tuned", "shuffled")}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("subject", "known"), [("coffee", True), ("flower", True), (NEW_SUBJECT, False)]
)
def test_what_the_model_draws(pipeline, subject, known):
    """CLIP sees what it was trained on, and as a rule no cat, which it was not."""
    images = pipeline(
        [PROMPT.format(subject)] * DRAWN,
        num_inference_steps=12,
        guidance_scale=DRAWING["guidance_scale"][0],
        generator=[torch.Generator().manual_seed(seed) for seed in range(DRAWN)],
    ).images
    right = subjects_in(images).count(subject)
    assert right == DRAWN if known else right <= DRAWN / 2
