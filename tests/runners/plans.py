"""Plans of the small components, for the tests of all runners."""

from pathlib import Path

from fondant_spec.pipeline import Pipeline, Resources
from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.kubeflow import Cluster
from tests.small import COMPONENTS

GPU = Resources(
    cpu="2",
    memory="8Gi",
    shared_memory="1Gi",
    accelerator="nvidia.com/gpu",
    node_selector={"node_pool": "gpu"},
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
    timeout=3600,
)
CLUSTER = Cluster(
    volume="sd-data",
    volume_path="/data",
    secrets={"HF_TOKEN": ("hugging-face", "token")},
    pull_secrets=("registry",),
)


def forked(base: Path | str, fan_out: int = 3) -> Pipeline:
    """Return a pipeline of a load, two branches, their join, and a step that gathers."""
    pipeline = Pipeline("small_one", base)
    numbers = pipeline.add(
        COMPONENTS / "numbers",
        arguments={"rows": 20, "skip": [3, 7]},
        rows_per_partition=4,
    )
    left = pipeline.add(COMPONENTS / "keep_even", after=numbers, workers=1)
    right = pipeline.add(
        COMPONENTS / "double",
        after=numbers,
        arguments={"factor": 4},
        resources=GPU,
        fan_out=fan_out,
        workers=1,
    )
    joined = pipeline.add(
        COMPONENTS / "waits",
        after=[left, right],
        consumes={"number": "double"},
        cache=False,
        workers=1,
    )
    pipeline.add(
        COMPONENTS / "first_of_each",
        after=joined,
        consumes={"number": "negative"},
        fan_out=2 if fan_out > 1 else 1,
        workers=1,
    )
    return pipeline


def fixed() -> Plan:
    """Return the plan of `forked` that the golden files show."""
    return forked("/data/base").plan("20260101T000000-abcdef")
