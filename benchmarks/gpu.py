"""The embedding and captioning steps on one GPU, against its limits and the usual loops.

    python benchmarks/gpu.py --into DIR [--tiny] [--parts a,b] [--seconds 360]

Models are of full size with random weights, images photo-like JPEGs of 0.54 megapixels, all made on
the spot. Each part runs in a process of its own, as long as it may, and writes what it finds as it
goes: a line of JSON each in DIR/results.jsonl. `--tiny` has tiny models and few images, and also
runs on a CPU: it shows that every part still works.
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
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PARTS = {  # seconds at most
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
"""In the order of what is least willingly missed."""

TINY_SECONDS = 300
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
NEEDED = 12e9


def run_part(name: str, into: Path, world: Path, seconds: float, *, tiny: bool) -> str:
    """Run a part in a process of its own; return how it ended."""
    words = [sys.executable, __file__, "--into", str(into), "--world", str(world), "--part", name]
    process = subprocess.Popen(
        [*words, *(["--tiny"] if tiny else [])],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        start_new_session=True,
    )
    try:
        return f"exit code {process.wait(seconds)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"cut off after {seconds:.0f} s"


def run_all(names: list[str], into: Path, seconds: float, *, tiny: bool) -> None:
    """Run parts one after the other, until the time is up."""
    ends = time.monotonic() + seconds
    roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > NEEDED
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if roomy else None) as world:
        for name in names:
            began, left = time.monotonic(), ends - time.monotonic()
            most = TINY_SECONDS if tiny else PARTS[name]
            ended = run_part(name, into, Path(world), min(most, left), tiny=tiny)
            took = time.monotonic() - began
            print(f"--- {name}: {ended}, {took:.0f} s; {left - took:.0f} s left", flush=True)


def show(results: Path) -> None:
    """Print what was found: a line for each result."""
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
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    if options.part:
        from benchmarks.gpu_parts import run  # noqa: PLC0415 - needs torch, which only parts do

        run(options.part, options.world, options.into, tiny=options.tiny)
        return
    names = options.parts.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there is {', '.join(PARTS)}")
    seconds = 10 * TINY_SECONDS if options.tiny else options.seconds
    run_all(
        names if "world" in names else ["world", *names], options.into, seconds, tiny=options.tiny
    )
    show(options.into / "results.jsonl")


if __name__ == "__main__":
    main()
