"""Measures the fixed cost of commands, in wall-clock and CPU seconds.

    python benchmarks/startup.py [--rounds 5] [--json]

`help` and `dry_run` are those of the demo's command line; `cached_run` is a run of the demo with a
cache hit for every step; and `model_step` embeds the demo's 32 seed images with its tiny CLIP,
whose arithmetic takes no time, so that imports and the loading, trial and check of the model
remain. Each runs in a process of its own; the best of several rounds counts. The demo is run once
before.
"""

# ruff: noqa: S603 - the programs are this project's own
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = [sys.executable, "-m", "demo.run"]
EMBED = [sys.executable, str(ROOT / "components" / "image_embedding" / "src" / "main.py")]


def cost(words: list[str]) -> tuple[float, float]:
    """Return the wall-clock and CPU seconds of a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True)
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processors = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return clock, processors


def seeds(base: Path) -> Path:
    """Return the manifest of the demo's seed images, loaded into a base path."""
    (found,) = (base / "stable-diffusion" / "load_from_hub").glob("*/manifest.json")
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        run = [*DEMO, "--base-path", str(base)]
        cost(run)
        clip = ROOT / "demo" / "models" / "clip"
        given = ["--input_manifest_path", str(seeds(base)), "--model_id", str(clip)]
        commands = {
            "help": [*DEMO, "--help"],
            "dry_run": [*run, "--dry-run"],
            "cached_run": run,
            "model_step": [*EMBED, "--base_path", str(base / "again"), "--cache", "false", *given],
        }
        for name, words in commands.items():
            clock, processors = zip(*(cost(words) for _ in range(options.rounds)), strict=True)
            found[name] = {"clock_s": min(clock), "processor_s": min(processors)}
            print(
                f"{name:<12} {min(clock):6.2f} s by the clock, {min(processors):.2f} of processors"
            )
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
