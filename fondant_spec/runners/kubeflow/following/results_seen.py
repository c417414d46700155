"""What this machine sees of a run on its base path: rows done, and results.

A volume of the cluster is not there on a laptop, and the keys of a store may be missing: then
nothing is seen, which is no error. Each step notes as it starts which result it makes or takes, so
that the right one is looked at, whatever paths the cluster has.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import GATHERED, read_checkpoint
from fondant_spec.dataset.layout import CHECKPOINT_ENDING, PipelineFolder, StepFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.row_counts import Counts

T = TypeVar("T")


@dataclass
class ResultsSeen:
    """The results of a plan, and of a run of it that began, as far as they are seen from here."""

    plan: Plan
    run_id: str = ""
    _done: dict[str, tuple[int, int]] = field(default_factory=dict)
    _manifests: dict[str, Manifest] = field(default_factory=dict)
    _blind: bool = False

    def manifest(self, planned: PlannedStep) -> Manifest | None:
        """Return what a step made or took, once it is there."""
        if planned.id not in self._manifests:
            found = self._seen(lambda: self._committed(planned))
            if found is not None:
                self._manifests[planned.id] = found
        return self._manifests.get(planned.id)

    def counts(self, planned: PlannedStep) -> Counts | None:
        """Return how many rows a running step has done, as its finished partitions tell."""
        return self._seen(lambda: self._counts(planned))

    def hits(self) -> dict[str, Manifest]:
        """Return the results that the steps of the plan would take as they are."""
        return self._seen(self.plan.committed) or {}

    def _committed(self, planned: PlannedStep) -> Manifest | None:
        folder = self._folder(planned)
        there = folder is not None and storage.exists(folder.manifest)
        return Manifest.read(folder.manifest) if folder and there else None

    def _counts(self, planned: PlannedStep) -> Counts | None:
        folder = self._folder(planned)
        if folder is None:
            return None
        names = [n for n in storage.sizes(folder.checkpoints) if n.endswith(CHECKPOINT_ENDING)]
        files = [
            storage.join(folder.checkpoints, name)
            for name in names
            if name != f"{GATHERED}{CHECKPOINT_ENDING}"
        ]
        for file in set(files) - self._done.keys():
            one = read_checkpoint(file)
            self._done[file] = (one.rows_in, sum(one.rejects.values())) if one else (0, 0)
        inputs = [self.manifest(group[0]) for group in planned.resolved.groups]
        rows = [manifest.rows for manifest in inputs if manifest is not None]
        return Counts(
            rows=sum(self._done[file][0] for file in files),
            total=sum(rows) if rows and len(rows) == len(inputs) else None,
            lost=sum(self._done[file][1] for file in files),
        )

    def _folder(self, planned: PlannedStep) -> StepFolder | None:
        key = self._pipeline.run(self.run_id).references().get(planned.id)
        return self._pipeline.step(planned.id, key) if key else None

    @cached_property
    def _pipeline(self) -> PipelineFolder:
        return PipelineFolder.of(self.plan.base_path, self.plan.pipeline_name)

    def _seen(self, look: Callable[[], T]) -> T | None:
        """Return what a look gives; what cannot be read once is not asked again."""
        if self._blind:
            return None
        try:
            return look()
        except Exception:  # noqa: BLE001 - each kind of store has errors of its own
            self._blind = True
            return None
