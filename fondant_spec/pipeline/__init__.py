"""Describing a pipeline, on the laptop: its steps, what they come to, and what ran before."""

from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.step import Step, StepOptions
from fondant_spec.spec.resources import Resources

__all__ = ["Pipeline", "Plan", "Resources", "Step", "StepOptions"]
