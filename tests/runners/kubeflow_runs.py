"""Submitting to the tests' server."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fondant_spec.pipeline import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.kubeflow import Cluster, KubeflowRunner
from tests.runners.kfp_server import KfpServer
from tests.small import COMPONENTS

BASE = "memory://base"
"""A store that is read here, and has nothing in it."""

Launch = Callable[..., tuple[int, list[str], list[str]]]


def pair(base: str = BASE, fan_out: int = 3) -> Pipeline:
    """Return a pipeline of two steps, the second of which is spread."""
    small = Pipeline("small_one", base)
    numbers = small.add(COMPONENTS / "numbers", arguments={"rows": 20})
    small.add(COMPONENTS / "double", after=numbers, fan_out=fan_out)
    return small


def cluster(server: KfpServer, **options: Any) -> Cluster:
    """Return a server as a cluster, to be looked at often."""
    return Cluster(host=server.url, interval=0.01, **options)


@contextmanager
def interrupts_arrive() -> Iterator[None]:
    """Collect no garbage: in a callback of the collector, such as Hypothesis has, they are lost."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def submit(server: KfpServer, plan: Plan | None = None, **options: Any) -> list[str]:
    """Submit a plan, by default of the small pipeline, and return what is said of it."""
    said: list[str] = []
    runner = KubeflowRunner(cluster(server, **options))
    assert runner.run(plan or pair().plan("run-1"), said.append) == []
    assert said[0].startswith("in no images.lock, so whether they hold the present code is")
    return said[1:]
