"""Describing pipelines: their steps, the plan they resolve to, and the record of earlier runs.

A `Pipeline` is a graph of `Step`s. It resolves to a `Plan`, with every path, argument and cache key
settled, which a runner of `fondant_spec.runners` executes. The other modules query what is on disk:
`run_status`, `explain`, `estimate`, `run_diff`, `garbage_collection` and more.
"""

from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.step import Step, StepOptions
from fondant_spec.spec.resources import Resources

__all__ = ["Pipeline", "Plan", "Resources", "Step", "StepOptions"]
