"""A run's progress and results, as far as this machine can read its base path.

A laptop has no access to a volume of the cluster, and may lack the keys of a store: then nothing is
visible, which is not an error. Each step records as it starts which result it makes or reuses, so
that the right one is found, whatever paths the cluster uses.
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
    """The results of a plan, and of a run of it, as far as they are visible from here."""

    plan: Plan
    run_id: str = ""
    _done: dict[str, tuple[int, int]] = field(default_factory=dict)
    _manifests: dict[str, Manifest] = field(default_factory=dict)
    _blind: bool = False

    def manifest(self, planned: PlannedStep) -> Manifest | None:
        """Return the manifest that a step made or reused, once it exists."""
        if planned.id not in self._manifests:
            found = self._seen(lambda: self._committed(planned))
            if found is not None:
                self._manifests[planned.id] = found
        return self._manifests.get(planned.id)

    def counts(self, planned: PlannedStep) -> Counts | None:
        """Return how many rows a running step has done, from its finished partitions."""
        return self._seen(lambda: self._counts(planned))

    def hits(self) -> dict[str, Manifest]:
        """Return the existing results that the steps of the plan would reuse."""
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
        """Return the result of a lookup; after one failure, nothing is looked up again."""
        if self._blind:
            return None
        try:
            return look()
        except Exception:  # noqa: BLE001 - each kind of store has errors of its own
            self._blind = True
            return None
