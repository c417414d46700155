"""Running a plan in containers on this machine, one per step, with Docker or Podman.

A step has access to the base path, the local paths in its arguments, the output that earlier steps
have written elsewhere and the Hugging Face cache, each under the same path as outside; it runs as
the caller, without capabilities.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from fondant_spec.cpu import core_variables
from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidConfigError
from fondant_spec.pipeline.missing_paths import check_paths
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners import container_view as view
from fondant_spec.runners.container_engine import Engine, find_engine
from fondant_spec.runners.container_engine import call as _run
from fondant_spec.runners.image_lock import build_command, image_of, refuse_other_code
from fondant_spec.runners.protocol import Runner
from fondant_spec.runners.subprocesses import Command, compile_steps, own_folder, run_steps
from fondant_spec.shown_text import tell
from fondant_spec.spec.quantities import quantity

COMMAND: Final = ("python", "/component/src/main.py")
"""The command of a component, in every image."""


class DockerRunner(Runner):
    """Runs each step in a container.

    Args:
        engine: of this machine; by default searched for when first needed.
        folder: for the runner's own files while it runs.
    """

    def __init__(self, engine: Engine | None = None, folder: str | None = None) -> None:
        self._given = engine
        self._folder = folder or own_folder()

    @cached_property
    def engine(self) -> Engine:
        """The engine of this machine."""
        return self._given or find_engine()

    def check(self) -> None:
        """Check that there is an engine that responds."""
        _ = self.engine

    def check_plan(self, plan: Plan) -> None:
        """Check that local files and folders exist."""
        check_paths(plan)

    def compile(self, plan: Plan) -> list[Command]:
        """Return the command of every step."""
        return compile_steps(plan, partial(self._command, plan))

    def is_done(self, plan: Plan) -> bool:
        """Return whether the results of all steps exist."""
        return len(plan.committed()) == len(plan.steps)

    def run(self, plan: Plan, say: Callable[[str], None] = tell) -> list[StepResult]:
        """Run the unfinished steps of a plan, after checking that all images exist."""
        _check_images(plan, self.engine)
        written = (path for planned in plan.steps for path in planned.written)
        for folder in (*view.folders_of_caches(self.engine), *written):
            if not storage.is_remote(folder):
                Path(folder).mkdir(parents=True, exist_ok=True)
        return run_steps(plan, partial(self._command, plan), self._folder, say)

    def _command(self, plan: Plan, planned: PlannedStep, inputs: Sequence[str]) -> Command:
        engine = self.engine
        name = f"fondant-{plan.run_id}-{planned.id}"
        output_folder = str(Path(self._folder) / planned.id)
        output_path = storage.join(output_folder, "output_manifest_path")
        no_gpu = planned.step.resources.accelerator is not None and not engine.gpus
        argv = (
            *(engine.program, "run", "--rm", "--interactive", "--name", name),
            *(("--init",) if engine.program == "docker" else ()),  # Podman's is a separate package
            *("--user", engine.user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *(("--userns", "keep-id") if engine.is_rootless_podman else ()),
            *view.network_options(planned, plan),
            *_resources(planned, engine),
            *view.environment_options(planned, engine),
            *view.mount_options(planned, plan, engine, output_folder),
            image_of(planned.spec).here,
            *COMMAND,
            *plan.argv(planned, inputs, output_path),
        )
        return Command(
            planned.id,
            argv,
            output_path,
            removal=(engine.program, "rm", "--force", name),
            notes=(
                *(("no GPU for containers here: runs on the CPU",) if no_gpu else ()),
                *view.unseen(planned, engine),
            ),
        )


def _resources(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    wanted = planned.step.needs
    if wanted.cpu_limit is not None:
        cores = min(quantity(wanted.cpu_limit), engine.cpus)
        yield from ("--cpus", f"{cores:g}")
        for name, value in core_variables(math.ceil(cores)).items():
            yield from ("--env", f"{name}={value}")
    if wanted.memory_limit is not None:
        yield from ("--memory", f"{quantity(wanted.memory_limit):.0f}")
    if wanted.shared_memory is not None:
        yield from ("--shm-size", f"{quantity(wanted.shared_memory):.0f}")
    if wanted.accelerator is not None and engine.gpus:
        yield from _gpus(wanted.accelerators, engine)


def _gpus(count: int, engine: Engine) -> Iterator[str]:
    """Yield the options for a number of GPUs, out of those that the caller has selected, if any."""
    chosen = engine.chosen_gpus[:count]
    if engine.program == "podman":
        for one in chosen or ["all"]:
            yield from ("--device", f"nvidia.com/gpu={one}")
    elif chosen:
        yield from ("--gpus", view.csv_line([f"device={','.join(chosen)}"]))
    else:
        yield from ("--gpus", str(count))


def _check_images(plan: Plan, engine: Engine) -> None:
    """Check that all images that were built here exist, and contain the current code.

    Images of others are left to the engine to pull.
    """
    refuse_other_code(plan.steps)
    for planned in plan.steps:
        if planned.spec.source is None:
            continue
        image = image_of(planned.spec)
        if _run([engine.program, "image", "inspect", image.here]).returncode == 0:
            continue
        if image.digest is None:
            msg = (
                f"{planned.id}: there is no image {image.name} here; "
                f"run: {build_command(planned.spec)}"
            )
            raise InvalidConfigError(msg)
