"""The entry point of a step: runs one component over its partitions, and commits the result.

Every runner enters a component here: `python main.py --name word ...`, with the arguments of the
spec and the executor's own options.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.dataset.committed import check_reject_share, committed_manifest
from fondant_spec.dataset.disk_space import check_space, full_disk_told
from fondant_spec.dataset.lease import WHOLE, held
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.exit_codes import end_program, exit_code
from fondant_spec.lifeline import end_with_runner
from fondant_spec.progress import LISTENER, Progress
from fondant_spec.shown_text import log_to_stderr, tell
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.usage import usage
from fondant_spec.worker.base_components import Component
from fondant_spec.worker.commit import commit
from fondant_spec.worker.gather_partitions import gather_partitions
from fondant_spec.worker.host_outputs import write_outputs
from fondant_spec.worker.partition_tasks import PartitionTask, split_finished
from fondant_spec.worker.run_dataset import gather, load_partitions, write_partitions
from fondant_spec.worker.scheduling import run_partitions
from fondant_spec.worker.step_request import StepRequest, read_request, source_of
from fondant_spec.worker.tries import Tries

FRAMEWORK: Final = Path(__file__).parents[1]
"""Frames that component authors need not see in a traceback."""

logger = logging.getLogger(__name__)


def execute(component_class: type[Component], argv: Sequence[str] | None = None) -> None:
    """Run a component as a program: parse the argument vector, run, exit.

    Exit codes: 0 done or a cache hit; 1 an error that the user can fix; 2 wrong usage; 75 a
    temporary error, after all tries; 130 interrupted. Any other error is a bug and shows its
    traceback. `--help` prints the arguments.
    """
    code = execute_words(component_class, sys.argv[1:] if argv is None else argv)
    if argv is None:
        end_program(code)
    if code:
        sys.exit(code)


def execute_words(component_class: type[Component], argv: Sequence[str]) -> int:
    """Run a component as a program, and return its exit code."""
    if argv in (["-h"], ["--help"]):
        return exit_code(lambda: tell(usage(ComponentSpec.from_file(source_of(component_class)))))
    # A listening runner shows each line as it arrives; a pod's log needs the times.
    log_to_stderr(times=LISTENER not in os.environ)
    end_with_runner()
    signal.signal(signal.SIGTERM, _terminate)
    return exit_code(
        lambda: _run(component_class, argv),
        interrupted="interrupted; finished partitions are kept, run again to go on",
        debug=True,
        hidden=FRAMEWORK,
    )


def _run(component_class: type[Component], argv: Sequence[str]) -> None:
    Tries.from_argv(argv).of(lambda: run(component_class, argv))


def run(component_class: type[Component], argv: Sequence[str]) -> Manifest | None:
    """Run a component and return the manifest it committed; None for a slice."""
    request = read_request(component_class, argv)
    manifest = find_hit(request)
    if manifest is None:
        part, folder = request.options.slice_of or WHOLE, request.resolved.folder
        with held(folder, request.context.run_id, part) as lease:
            manifest = find_hit(request)  # of a run that this one waited for
            if manifest is None:
                context = replace(request.context, lease=lease)
                with full_disk_told(folder.location, *request.written):
                    manifest = compute_and_commit(replace(request, context=context))
    location = request.resolved.folder.location if manifest is None else manifest.location
    report_output(location, request)
    if manifest is not None:
        write_outputs(request.options, manifest)
    return manifest


def find_hit(request: StepRequest) -> Manifest | None:
    """Return the finished result of a step if it is still valid and wanted, else None.

    Raises:
        RejectThresholdError: more of its rows failed than are allowed now.
    """
    if not request.takes_committed:
        return None
    manifest = committed_manifest(request.resolved.folder.manifest, request.inputs, request.written)
    if manifest is None:
        return None
    check_reject_share(manifest, request.options.max_reject_share)
    logger.info("%s: already done, %d rows at %s", manifest.step_id, manifest.rows, manifest.folder)
    return manifest


def compute_and_commit(request: StepRequest) -> Manifest | None:
    """Run a step that no other run is running, and return its manifest; None for a slice."""
    request.check_inputs()
    request.check_slices()
    check_space(request.resolved.folder.location)
    # An existing manifest was made from other inputs, or is not wanted: it must not pass for a
    # commit of the files that are about to be written.
    storage.remove(request.resolved.folder.manifest)
    began = time.monotonic()
    checkpoints = compute(request)
    if request.options.slice_of is not None:
        return None
    manifest = commit(request, checkpoints, seconds=time.monotonic() - began)
    logger.info("%s: %d rows at %s", manifest.step_id, manifest.rows, manifest.folder)
    return manifest


def compute(request: StepRequest) -> list[Checkpoint]:
    """Run the component over all that is unfinished; return all checkpoints."""
    total = sum(group[0].rows for group in request.resolved.groups) or None
    with Progress(request.context.step_id, total) as progress:
        return request.component_class.run_in(StepExecution(request, progress))


def report_output(location: str, request: StepRequest) -> None:
    """Write a location to where the runner looks for it: a manifest's, or a slice's folder."""
    if request.options.output_manifest_path:
        path = Path(request.options.output_manifest_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(location, encoding="utf-8")


@dataclass(frozen=True)
class StepExecution:
    """Runs components of each kind: an `Execution`."""

    request: StepRequest
    progress: Progress

    def load(self) -> list[Checkpoint]:
        """Run a load, as one stream."""
        step = self.request.context
        if self._waits_for_commit():
            return []
        with step.component() as component:
            return load_partitions(step, component, self.progress.advance)

    def gather(self) -> list[Checkpoint]:
        """Run a component that reads the whole dataset as one stream, keeping its partitions."""
        step = self.request.context
        if self._waits_for_commit():
            return []
        with step.component() as component:
            tasks = self.request.tasks
            return gather_partitions(step, component, tasks, self.progress.advance)

    def write(self) -> list[Checkpoint]:
        """Run a write, which reads the whole dataset as one stream."""
        step = self.request.context
        if self._waits_for_commit():
            return []
        with step.component() as component:
            return [write_partitions(step, component, self.request.tasks, self.progress.advance)]

    def transform(self, *, gathers: bool) -> list[Checkpoint]:
        """Run a transform over the partitions of its slice; gather them if that is the whole."""
        step, slice_of = self.request.context, self.request.options.slice_of
        tasks = self.request.tasks
        if slice_of is not None:
            tasks = tasks[slice_of[0] :: slice_of[1]]
        checkpoints = self._transform(tasks, gathers=gathers)
        if gathers and slice_of is None:
            with step.component() as component:
                checkpoints.append(gather(step, component, checkpoints))
        return checkpoints

    def _transform(self, tasks: list[PartitionTask], *, gathers: bool) -> list[Checkpoint]:
        step = self.request.context
        kept, left = split_finished(step, tasks, gathers=gathers)
        if kept and left:
            done, parts = (
                sum(one.rows_in for one in kept),
                f"{len(kept)} of {len(tasks)} partitions",
            )
            logger.info("%s goes on: %d rows done, in %s", step.step_id, done, parts)
        self._count(kept)
        new = self._run(left)
        # If a model on the hub has moved since the kept ones were made, results of both revisions
        # must not be mixed.
        while stale := _made_otherwise(kept, new):
            names = {checkpoint.name for checkpoint in stale}
            logger.warning(
                "%s: %d partitions were made by something else, and are made anew",
                step.step_id,
                len(stale),
            )
            self._count(stale, sign=-1)
            kept = [checkpoint for checkpoint in kept if checkpoint.name not in names]
            new += self._run([task for task in tasks if task.name in names])
        place = {task.name: number for number, task in enumerate(tasks)}
        return sorted([*kept, *new], key=lambda checkpoint: place[checkpoint.name])

    def _count(self, checkpoints: list[Checkpoint], sign: int = 1) -> None:
        for checkpoint in checkpoints:
            lost = sum(checkpoint.rejects.values())
            done = sign * checkpoint.rows_in
            self.progress.advance(done, sign * lost, before=done)

    def _run(self, tasks: list[PartitionTask]) -> list[Checkpoint]:
        uses_device = self.request.component_class.uses_device
        workers = self.request.options.workers or (1 if uses_device else cpu_count())
        return run_partitions(self.request.context, tasks, workers, self.progress)

    def _waits_for_commit(self) -> bool:
        """Return whether this is a slice of a step that does not work on input partitions."""
        if self.request.options.slice_of is None:
            return False
        logger.info("%s: runs whole when it is committed", self.request.context.step_id)
        return True


def _made_otherwise(kept: list[Checkpoint], new: list[Checkpoint]) -> list[Checkpoint]:
    """Return the kept checkpoints whose metadata differs from the new, or from the first kept."""
    reference = [*new, *kept][:1]
    return [one for one in kept if one.metadata != reference[0].metadata]


def _terminate(_signum: int, _frame: object) -> None:
    """Treat a termination signal like Ctrl-C, so that workers stop and leases are released."""
    raise KeyboardInterrupt
