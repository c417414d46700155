"""Images that were drawn with other settings are not compared without a word."""

from pathlib import Path

import pytest

from fondant_spec.worker.component_code import load_module

DRAWN = {
    "guidance_scale": [7.5, 5.0],
    "num_inference_steps": [50],
    "seed": 0,
    "scheduler": "DDIMScheduler",
    "precision": "fp32",
}


@pytest.mark.parametrize(
    ("tuned", "told"),
    [
        ({}, []),
        ({"guidance_scale": [7.5], "model_id": "another"}, []),
        ({"seed": 1}, ["seed is 0 for the base and 1 for the tuned model."]),
        (
            {"num_inference_steps": [25, 50], "prefix": "a photo of"},
            ["num_inference_steps is 50 for the base and 25", "prefix is None for the base and a "],
        ),
    ],
)
def test_what_differs(tuned: dict[str, object], told: list[str]) -> None:
    """Only what the compared images were drawn with."""
    differences = load_module(Path(__file__).parents[1], "drawn_alike").differences
    found = [*differences(DRAWN, DRAWN | tuned)]
    assert len(found) == len(told)
    assert all(one in other for one, other in zip(told, found, strict=True))
    assert not [*differences({}, DRAWN)]
