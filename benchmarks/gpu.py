"""Measures embedding and captioning on one GPU, against its limits and the usual loops.

    python benchmarks/gpu.py --into DIR [--parts a,b] [--seconds 360] [--brief] [--tiny]

Full-size models with random weights and photo-like JPEGs of 0.54 megapixels, all generated locally.
Each part runs in its own process, for a limited time, and appends its results as it goes: one line
of JSON each in DIR/results.jsonl. `--brief` measures only whole steps and loops. `--world` names a
folder in which generated images and models are kept. `--tiny` uses tiny models and few images, and
also runs on a CPU, to show that every part still works.
"""

# ruff: noqa: S603 - the programs are this file's own
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PARTS = {  # maximum seconds
    "world": 75,
    "machine": 25,
    "embedding:L14": 60,
    "captions:blip-base": 60,
    "embedding:B32": 30,
    "captions:blip-large": 45,
    "captions:florence-base": 60,
    "loop:L14": 45,
    "memory": 45,
    "right": 40,
}
"""Most important first."""

TINY_SECONDS = 300
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
NEEDED = 12e9


def run_part(name: str, into: Path, world: Path, seconds: float, *flags: str) -> str:
    """Run a part in a process of its own; return how it ended."""
    words = [sys.executable, __file__, "--into", str(into), "--world", str(world), "--part", name]
    process = subprocess.Popen(
        [*words, *flags],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        start_new_session=True,
    )
    try:
        return f"exit code {process.wait(seconds)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"cut off after {seconds:.0f} s"


def run_all(names: list[str], into: Path, world: Path, seconds: float, *flags: str) -> None:
    """Run parts one after another, until the time is up."""
    ends = time.monotonic() + seconds
    for name in names:
        began, left = time.monotonic(), ends - time.monotonic()
        most = TINY_SECONDS if "--tiny" in flags else PARTS[name]
        ended = run_part(name, into, world, max(1, min(most, left)), *flags)
        took = time.monotonic() - began
        print(f"--- {name}: {ended}, {took:.0f} s; {left - took:.0f} s left", flush=True)


@contextmanager
def folder_for(world: Path | None) -> Iterator[Path]:
    """Yield the folder of images and models: the given one, or a temporary one."""
    if world is not None:
        world.mkdir(parents=True, exist_ok=True)
        yield world
        return
    roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > NEEDED
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if roomy else None) as made:
        yield Path(made)


def show(results: Path) -> None:
    """Print the results, one line each."""
    for line in results.read_text().splitlines():
        found = json.loads(line)
        values = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in found.items()
            if name not in ("part", "what", "log", "where")
        }
        print(f"{found['part']:<24}{found['what']:<44}{json.dumps(values, default=str)[:600]}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, and in which order")
    parser.add_argument("--seconds", type=float, default=360, help="for all parts together")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--world", type=Path, help="a folder for images and models, kept")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    if options.part:
        # This needs torch, which only the parts do.
        from benchmarks.gpu_parts import run  # noqa: PLC0415
        from benchmarks.gpu_world import World  # noqa: PLC0415

        paths = options.world, options.into
        run(World(*paths, options.part, tiny=options.tiny, brief=options.brief))
        return
    names = options.parts.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there is {', '.join(PARTS)}")
    flags = [f"--{flag}" for flag in ("tiny", "brief") if getattr(options, flag)]
    seconds = 10 * TINY_SECONDS if options.tiny else options.seconds
    with folder_for(options.world) as world:
        if not (world / "ends").exists() and "world" not in names:
            names.insert(0, "world")
        run_all(names, options.into, world, seconds, *flags)
    show(options.into / "results.jsonl")


if __name__ == "__main__":
    main()
