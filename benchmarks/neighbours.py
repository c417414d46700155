"""Measures how much CPU-bound steps are slowed down by other load on the machine.

    python benchmarks/neighbours.py [--rounds 2] [--steps NAME ...] [--spins N ...]
        [--images IMAGES] [--json]

The steps caption the demo's kept images, and train on them, with its small models: alone, beside
one and two processes that only keep a core busy, and beside another of their own kind. Each runs as
runners start it, with threads that yield their core after polling 1,000 times for what they wait
for (`patient`); with threads that yield at once (`passive`); with OpenMP's default of polling
300,000 times (`spinning`); and as often as `--spins` says. A figure is the wall-clock time divided
by the patient time alone, capped at ten, where a run is ended; `fair` is what it would be if cores
were shared evenly and nothing were lost. The demo is run once before; of several rounds, the best
counts.

`--images` runs the steps in containers with `--cpus 1.5` instead; the other of their own kind is
not in a container. It is the prefix of the image names, such as `localhost/fondant/` for
`localhost/fondant/caption_images:dev`.
"""

# ruff: noqa: S603, S607 - the programs are this project's own
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fondant_spec.cpu import PATIENT, core_variables, cpu_count

ROOT = Path(__file__).parents[1]

MODELS = ROOT / "demo" / "models"
Policies = Mapping[str, Mapping[str, str]]
POLICIES: Policies = {
    "patient": PATIENT,
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spinning": {"GOMP_SPINCOUNT": "300000"},
}
NEIGHBOURS = ("none", "one busy", "two busy", "its like")
QUOTA = 1.5
LIMIT = 10.0
"""A run is ended when it takes this many times as long as alone."""
Command = tuple[list[str], dict[str, str]]
NAME = "fondant-neighbours"
BUSY = [sys.executable, "-c", "while True: pass"]


@dataclass(frozen=True)
class Step:
    """A component, the step of the demo whose rows it reads, and its arguments."""

    component: str
    reads: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def words(self, base: Path) -> list[str]:
        """Return the arguments of a run into a new folder, even if there are results already."""
        (manifest,) = (base / "stable-diffusion" / self.reads).glob("*/manifest.json")
        given = {"base_path": tempfile.mkdtemp(dir=base), "cache": "false"}
        given |= {"input_manifest_path": str(manifest), "device": "cpu"} | self.arguments
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]


STEPS = (
    Step("caption_images", "download_images", {"model_id": MODELS / "blip", "num_beams": 4}),
    Step(
        "fine_tune",
        "caption_images",
        {
            "model_id": MODELS / "diffusion",
            "method": "full",
            "resolution": 64,
            "center_crop": "true",
            "max_train_steps": 40,
        },
    ),
)


def here(step: Step, base: Path, policy: Mapping[str, str]) -> Command:
    """Return the command of a step on this machine, and its environment."""
    main = ROOT / "components" / step.component / "src" / "main.py"
    known = {name: value for name, value in os.environ.items() if name not in PATIENT}
    return [sys.executable, str(main), *step.words(base)], {**known, **policy}


def contained(step: Step, base: Path, policy: Mapping[str, str], images: str) -> Command:
    """Return the command of a step in a container with a CPU quota, and its environment."""
    variables = core_variables(math.ceil(QUOTA)) | dict(policy)
    words = [
        "docker",
        "run",
        "--rm",
        "--name",
        NAME,
        "--cpus",
        str(QUOTA),
        "--network",
        "none",
        "--user",
        "0",
    ]
    for folder in (base, MODELS):
        words += ["--mount", f"type=bind,source={folder},target={folder}"]
    program = ["timeout", "300", "env"]
    program += [word for name in PATIENT for word in ("--unset", name)]  # set by the image
    program += [f"{name}={value}" for name, value in variables.items()]
    program += ["python", "/component/src/main.py", *step.words(base)]
    return [*words, f"{images}{step.component}:dev", *program], dict(os.environ)


@contextmanager
def running(commands: Sequence[Command]) -> Iterator[None]:
    """Run commands in the background while a `with` statement lasts."""
    with ExitStack() as stack:
        for words, environment in commands:
            process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def seconds(command: Command, limit: float | None = None) -> float:
    """Return a command's wall-clock seconds, or the limit at which it is ended."""
    words, environment = command
    start = time.perf_counter()
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(words, env=environment, check=True, capture_output=True, timeout=limit)
    took = time.perf_counter() - start
    if NAME in words:  # ending an engine's client leaves its container running
        subprocess.run(["docker", "rm", "--force", NAME], check=False, capture_output=True)
    return took


def fair(neighbours: str) -> float:
    """Return the slowdown of a program with one thread per core if cores were shared evenly."""
    threads = cpu_count()
    others = {"none": 0, "one busy": 1, "two busy": 2, "its like": threads}[neighbours]
    return (threads + others) / threads


def measure(
    step: Step, base: Path, rounds: int, policies: Policies, images: str | None
) -> dict[str, Any]:
    """Return a step's time beside each kind of neighbour, relative to its time alone."""

    def least(neighbours: str, policy: str, limit: float | None = None) -> float:
        beside = [(BUSY, dict(os.environ))] * {"one busy": 1, "two busy": 2}.get(neighbours, 0)
        took = []
        for _ in range(rounds):
            like = [here(step, base, policies[policy])] if neighbours == "its like" else []
            if images is None:
                command = here(step, base, policies[policy])
            else:
                command = contained(step, base, policies[policy], images)
            with running([*beside, *like]):
                took.append(seconds(command, limit))
        return min(took)

    least("none", "patient")  # files are read for the first time
    alone = least("none", "patient")
    found: dict[str, Any] = {"alone_s": round(alone, 1)}
    for neighbours in NEIGHBOURS:
        slower = {policy: least(neighbours, policy, LIMIT * alone) / alone for policy in policies}
        if images is None:
            slower["fair"] = fair(neighbours)
        found[neighbours] = {name: round(value, 2) for name, value in slower.items()}
    return found


def tell(step: str, found: Mapping[str, Any]) -> None:
    """Print the figures of a step."""
    print(f"{step}: {found['alone_s']} s alone")
    for neighbours in NEIGHBOURS:
        told = "  ".join(f"{name} {value:5.2f}" for name, value in found[neighbours].items())
        print(f"    {neighbours:<10} {told}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    names = [step.component for step in STEPS]
    parser.add_argument("--steps", nargs="+", default=names, choices=names)
    parser.add_argument("--spins", type=int, nargs="*", default=[], help="further counts to try")
    parser.add_argument("--images", help="the beginning of the names of the components' images")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    tried = {f"{spins} spins": {"GOMP_SPINCOUNT": str(spins)} for spins in options.spins}
    policies = {**POLICIES, **tried}
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        demo = [sys.executable, "-m", "demo.run", "--base-path", str(base)]
        seconds((demo, os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}))
        for step in STEPS:
            if step.component in options.steps:
                figures = measure(step, base, options.rounds, policies, options.images)
                found[step.component] = figures
                tell(step.component, figures)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
