"""The container engine of this machine: Docker or Podman."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidConfigError

_CHOSEN_GPUS: Final = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Engine:
    """The container engine of this machine, and its capabilities.

    `user` is the caller, as uid:gid. `gpus` says whether containers can have GPUs. `environment` is
    the caller's.
    """

    program: str
    user: str
    gpus: bool = False
    cpus: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The caller's home folder."""
        return Path(self.environment.get("HOME", "~")).expanduser()

    @property
    def hf_home(self) -> str:
        """The caller's Hugging Face cache."""
        caches = Path(self.environment.get("XDG_CACHE_HOME") or self.home / ".cache")
        return self._folder("HF_HOME") or str(caches / "huggingface")

    @property
    def hf_hub_cache(self) -> str | None:
        """The caller's folder for downloads from the hub, if it is not in that cache."""
        return self._folder("HF_HUB_CACHE")

    @property
    def chosen_gpus(self) -> list[str]:
        """The GPUs that the caller has selected, by number or id; empty for any."""
        return _chosen(self.environment)

    def _folder(self, variable: str) -> str | None:
        named = self.environment.get(variable)
        return storage.normalize(named) if named else None

    @property
    def is_rootless_podman(self) -> bool:
        """Whether the caller has another uid in a container, unless requested otherwise."""
        return self.program == "podman" and not self.user.startswith("0:")


def find_engine(environment: Mapping[str, str] = os.environ) -> Engine:
    """Return the engine of this machine: the first one found, or that of CONTAINER_ENGINE.

    Raises:
        InvalidConfigError: there is none, or it does not respond.
    """
    candidates = environment.get("CONTAINER_ENGINE", "docker podman").split()
    program = next(filter(shutil.which, candidates), None)
    if program is None:
        msg = f"found no {' or '.join(candidates)}; install one of them, or use --runner local."
        raise InvalidConfigError(msg)
    answer = call([program, "version", "--format", "{{.Server.Version}}"])
    if answer.returncode:
        reason = answer.stderr.strip().rpartition("\n")[2]
        msg = f"no {program} engine answers ({reason}); start it, or use --runner local."
        raise InvalidConfigError(msg)
    return Engine(
        program=Path(program).name,
        user=f"{os.getuid()}:{os.getgid()}",
        gpus=(_CHOSEN_GPUS not in environment or bool(_chosen(environment)))
        and bool(shutil.which("nvidia-smi"))
        and call(["nvidia-smi", "-L"]).stdout.startswith("GPU"),
        cpus=os.cpu_count() or 1,
        environment=environment,
    )


def _chosen(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that a variable selects, which CUDA reads up to the first -1."""
    words = map(str.strip, environment.get(_CHOSEN_GPUS, "").split(","))
    return [*filter(None, takewhile(lambda word: word != "-1", words))]


def call(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command of the engine to completion, and return its result."""
    return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - ours
