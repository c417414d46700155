"""Runs a plan in containers on this machine: one a step, with Docker or Podman.

A step sees the base path, the local paths that its arguments name and the Hugging Face cache, each
under the path it has outside; it runs as the caller, without capabilities.
"""

import csv
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidConfigError
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.pipeline.quantities import quantity
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.image_lock import build_command, image_of, refuse_other_code
from fondant_spec.runners.subprocesses import Command, compile_steps, run_steps

COMMAND: Final = ("python", "/component/src/main.py")
"""What enters a component, in every image."""

HF_HOME: Final = "/cache/huggingface"
"""Where the images look for models; the caller's cache is mounted there."""

_PASSED: Final = (
    "AWS_",
    "AZURE_STORAGE_",
    "DASK_",
    "FSSPEC_",
    "GCSFS_",
    "GOOGLE_",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "OPENAI_API_KEY",
    "STORAGE_EMULATOR_HOST",
)
"""Beginnings of the names of environment variables that a container inherits."""

_OF_THE_IMAGE: Final = (Path("/"), Path("/tmp"))  # noqa: S108 - nothing is written there
"""Folders that a container must not have mounted over its own."""


@dataclass(frozen=True)
class Engine:
    """The container engine of this machine, and what the machine has.

    `user` is the caller, as uid:gid. `gpus` says whether containers can have GPUs. `environment` is
    the caller's.
    """

    program: str
    user: str
    gpus: bool = False
    cpus: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def hf_home(self) -> str:
        """The caller's Hugging Face cache."""
        home = self.environment.get("HOME", "~")
        default = str(Path(home).expanduser() / ".cache" / "huggingface")
        return storage.normalize(self.environment.get("HF_HOME", default))


def find_engine(environment: Mapping[str, str] = os.environ) -> Engine:
    """Return the engine of this machine; CONTAINER_ENGINE names another than the first found.

    Raises:
        InvalidConfigError: there is none, or it does not answer.
    """
    candidates = environment.get("CONTAINER_ENGINE", "docker podman").split()
    program = next(filter(shutil.which, candidates), None)
    if program is None:
        msg = f"found no {' or '.join(candidates)}; install one of them, or use --runner local."
        raise InvalidConfigError(msg)
    answer = _run([program, "version", "--format", "{{.Server.Version}}"])
    if answer.returncode:
        reason = answer.stderr.strip().rpartition("\n")[2]
        msg = f"no {program} engine answers ({reason}); start it, or use --runner local."
        raise InvalidConfigError(msg)
    return Engine(
        program=Path(program).name,
        user=f"{os.getuid()}:{os.getgid()}",
        gpus=bool(shutil.which("nvidia-smi"))
        and _run(["nvidia-smi", "-L"]).stdout.startswith("GPU"),
        cpus=os.cpu_count() or 1,
        environment=environment,
    )


def compile_plan(plan: Plan, folder: str, engine: Engine) -> list[Command]:
    """Return the command of every step; `folder` is a local one for the runner's own files."""
    return compile_steps(plan, partial(_compile_step, plan, folder, engine))


def run(plan: Plan, say: Callable[[str], None] = print) -> list[StepResult]:
    """Run the steps of a plan that are not done yet, and return how each one ended.

    Raises:
        InvalidConfigError: no engine answers, or an image is not there.
        StepFailedError: a step failed; the message holds the end of its log.
        StorageError: the base path cannot be written.
    """
    engine = find_engine()
    _check_images(plan, engine)
    for folder in (engine.hf_home, *(path for step in plan.steps for path in _written(step))):
        if not storage.is_remote(folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fondant-") as folder:
        return run_steps(plan, partial(_compile_step, plan, folder, engine), say)


def needs_network(planned: PlannedStep, base_path: str) -> bool:
    """Return whether a step reaches for anything that is not on this machine's disk."""
    remote = any(
        isinstance(value, str) and value and not _is_local(value)
        for name, value in planned.arguments.items()
        if planned.spec.arguments[name].path
    )
    return (
        remote
        or planned.spec.network
        or storage.is_remote(base_path)
        or any(_urls(planned.arguments.values()))
    )


def _compile_step(
    plan: Plan, folder: str, engine: Engine, planned: PlannedStep, inputs: Sequence[str]
) -> Command:
    name = f"fondant-{plan.run_id}-{planned.id}"
    output_folder = str(Path(folder) / planned.id)
    output_path = storage.join(output_folder, "output_manifest_path")
    gpu = planned.step.resources.accelerator is not None
    argv = (
        *(engine.program, "run", "--rm", "--name", name),
        *(("--init",) if engine.program == "docker" else ()),  # Podman's is a package of its own
        *("--user", engine.user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *(("--userns", "keep-id") if _is_rootless_podman(engine) else ()),
        *_network(planned, plan.base_path),
        *_resources(planned, engine),
        *_environment(engine),
        *_mounts(plan, planned, engine, output_folder),
        image_of(planned.spec).here,
        *COMMAND,
        *plan.argv(planned, inputs, output_path),
    )
    return Command(
        planned.id,
        argv,
        output_path,
        removal=(engine.program, "rm", "--force", name),
        notes=("no GPU for containers here: runs on the CPU",) if gpu and not engine.gpus else (),
    )


def _network(planned: PlannedStep, base_path: str) -> Iterator[str]:
    if planned.step.resources.host_network or any(
        _is_this_machine(url) for url in _urls(planned.arguments.values())
    ):
        yield from ("--network", "host")
    elif not needs_network(planned, base_path):
        yield from ("--network", "none")


def _resources(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    wanted = planned.step.resources
    if wanted.cpu is not None:
        yield from ("--cpus", f"{min(quantity(wanted.cpu), engine.cpus):g}")
    if wanted.memory is not None:
        yield from ("--memory", f"{quantity(wanted.memory):.0f}")
    if wanted.shared_memory is not None:
        yield from ("--shm-size", f"{quantity(wanted.shared_memory):.0f}")
    if wanted.accelerator is not None and engine.gpus:
        if engine.program == "podman":
            yield from ("--device", "nvidia.com/gpu=all")
        else:
            yield from ("--gpus", str(wanted.accelerators))


def _environment(engine: Engine) -> Iterator[str]:
    """Pass variables on by name alone: their values stay out of the command line."""
    for name in sorted(engine.environment):
        if name.upper().startswith(_PASSED):
            yield from ("--env", name)


def _mounts(plan: Plan, planned: PlannedStep, engine: Engine, output: str) -> Iterator[str]:
    """Yield the options for what a container sees of this machine, each path once."""
    writable = {output: output, engine.hf_home: HF_HOME}
    places = (plan.base_path, *_written(planned))
    writable |= {path: path for path in places if not storage.is_remote(path)}
    readable = {path: path for path in _readable(planned, engine) if path not in writable}
    for mode, paths in (("", writable), ("readonly", readable)):
        for source, target in sorted(paths.items()):
            words = ["type=bind", f"source={source}", f"target={target}", mode]
            yield from ("--mount", _csv(filter(None, words)))


def _written(planned: PlannedStep) -> Iterator[str]:
    for name, value in planned.arguments.items():
        if planned.spec.arguments[name].output and value:
            yield str(value)


def _readable(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    """Yield the folders and files of this machine that a step reads."""
    for name, value in planned.arguments.items():
        if planned.spec.arguments[name].path and isinstance(value, str) and _is_local(value):
            path = _existing(value)
            # A file's neighbours are mounted with it, since a table may name images beside it.
            folder = path if path.is_dir() or path.parent in _OF_THE_IMAGE else path.parent
            yield str(folder)
            # A snapshot in the Hugging Face cache is made of links to files outside of it.
            for link in folder.rglob("*"):
                if link.is_symlink() and not link.resolve().is_relative_to(folder):
                    yield str(link.resolve().parent)
    for name, value in engine.environment.items():
        if name.upper().startswith(_PASSED) and value.startswith("/") and Path(value).exists():
            yield value


def _is_local(value: str) -> bool:
    """Return whether a word is an absolute path, perhaps with wildcards, of this machine."""
    return value.startswith("/") and len(_existing(value).parts) > 1


def _existing(value: str) -> Path:
    """Return the longest beginning of a path that exists."""
    path = Path(value)
    return path if path.exists() else _existing(str(path.parent))


def _urls(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from _urls(value)
        elif isinstance(value, str) and storage.is_remote(value):
            yield value


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_rootless_podman(engine: Engine) -> bool:
    return engine.program == "podman" and not engine.user.startswith("0:")


def _check_images(plan: Plan, engine: Engine) -> None:
    """Make sure that what was built is there, of the present code.

    The images of others are left to the engine to pull.
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


def _has_gpu() -> bool:
    return bool(shutil.which("nvidia-smi")) and _run(["nvidia-smi", "-L"]).stdout.startswith("GPU")


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - ours


def _csv(words: Iterable[str]) -> str:
    """Return words as the engines read those of --mount: separated by commas, quoted for safety."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()
