"""A pipeline's undisturbed run: the result of each step, and how to run one of them again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.crash_faults import Run
from benchmarks.crash_tally import Series
from benchmarks.crash_world import Content
from fondant_spec.dataset.layout import StepFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.pipeline.graph import Pipeline, new_run_id
from fondant_spec.runners.local import LocalRunner


class Undisturbed:
    """The results of a pipeline's steps when nothing disturbs them."""

    def __init__(self, pipeline: Pipeline, log: Path) -> None:
        self.log = log
        self._plan = pipeline.plan()
        self.steps = {planned.id: planned for planned in self._plan.steps}
        made = LocalRunner().run(self._plan, lambda _: None)
        self.expected = {result.step_id: Content.of(result.manifest) for result in made}

    def folder(self, step: str) -> StepFolder:
        """Return a step's folder."""
        return StepFolder(self.steps[step].location.rpartition("/")[0])

    def start(self, step: str, environment: Mapping[str, str] | None = None) -> Run:
        """Start a run of a step, on the results of those before it."""
        steps = self._plan.steps[: list(self.steps).index(step) + 1]
        plan = replace(self._plan, steps=steps, run_id=new_run_id())
        return Run(plan, self.log, environment or {})

    def compare(self, series: Series, *runs: Run) -> None:
        """Wait for runs of a step, and compare its result with the undisturbed one."""
        codes = [run.wait() for run in runs]
        if codes == [0] * len(runs):
            made = Content.of(Manifest.read(self.steps[series.step].location))
            series.compare(made, self.expected[series.step])
        else:
            end = self.log.read_text(encoding="utf-8")[-3000:]
            series.fail(f"ended with {codes}: ...{end}")
