"""A component's step, run through its door on the world's images, and timed."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_world import ON_GPU, Watch, World, wait
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run

COMPONENTS = Path(__file__).parents[1] / "components"


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        for name in ("image_toolkit", "fondant_spec"):
            logging.getLogger(name).setLevel(logging.INFO)
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage()[:300])


def step(world: World, name: str, rows: int, **arguments: Any) -> tuple[dict[str, Any], Manifest]:
    """Run a step over so many images; return its figures, and what it made.

    `whole` is from the model being ready to the commit, `steady` from 30 % to 95 % of the rows, in
    images a second.
    """
    location, lines = world.dataset(rows), Lines()
    folder = world.folder / f"made-{time.monotonic_ns()}"
    words = {"base_path": folder, "input_manifest_path": location, **arguments}
    argv = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    component = component_class(COMPONENTS / name)
    watch = Watch(world.folder / f"watch-{time.monotonic_ns()}")
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    began = time.time()
    with _timed(component) as times:
        manifest = run(component, argv)
    end = time.time()
    assert manifest is not None
    found: dict[str, Any] = {
        "rows": manifest.rows,
        "load_s": times.ready[0] - began,
        "whole": manifest.rows / (end - times.ready[0]),
    }
    if ON_GPU:
        found["peak_mb"] = torch.cuda.max_memory_allocated() // 2**20
    first, last = _steady(times.out)
    if last[0] > first[0]:
        found["steady"] = (last[1] - first[1]) / (last[0] - first[0])
        found |= watch.between(first[0], last[0])
    watch.close()
    return found | {"log": lines.lines[-12:]}, manifest


@dataclass
class _Times:
    """When each worker's model was ready, and when how many rows came out."""

    ready: list[float] = field(default_factory=list)
    out: list[tuple[float, int]] = field(default_factory=list)


@contextmanager
def _timed(component: Any) -> Iterator[_Times]:
    """Have a component's setup and its batches timed meanwhile."""
    setup, transform, times = component.setup, component.transform_batches, _Times()

    def timed_setup(self: Any, context: Any) -> None:
        setup(self, context)
        wait()
        times.ready.append(time.time())

    def timed_transform(self: Any, batches: Any, context: Any) -> Iterator[Any]:
        for made in transform(self, batches, context):
            times.out.append((time.time(), len(made)))
            yield made

    component.setup, component.transform_batches = timed_setup, timed_transform
    try:
        yield times
    finally:
        component.setup, component.transform_batches = setup, transform


def _steady(out: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return when 30 % and 95 % of the rows had come, and how many those were."""
    total, done, marks = sum(rows for _, rows in out), 0, []
    for at, rows in sorted(out):
        done += rows
        if len(marks) < 2 and done >= (0.3, 0.95)[len(marks)] * total:  # noqa: PLR2004
            marks.append((at, done))
    return marks if len(marks) == 2 else [(0.0, 0), (0.0, 0)]  # noqa: PLR2004
