"""Measures the worst cost of malicious images in the steps that decode them.

    python benchmarks/hostile.py [--json] [--only NAME,...]

Each image of `tests/hostile_images.py`, with 20 MB of filler, is loaded, downloaded, captioned with
a tiny model, and exported, beside a good one. Seconds are those of a step beyond the same step with
only the good image; on a machine with other load, `worst_cpu_s` is more meaningful: the CPU time of
the step and its decoders. Memory is the peak of the step and its decoders beyond the start; it
includes the budget for decoding (`decoding.MEMORY_BYTES`).
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp()

from image_toolkit.images.decoder_pool import DECODERS
from image_toolkit.images.decoding import MEMORY_BYTES
from tests.hostile_images import HOSTILE, saved
from tests.hostile_steps import STEPS

FILLER = 20_000_000  # within what a downloader accepts
MOST_S = 5
MOST_MB = 300
_EVERY_S = 0.02


@dataclass
class Cost:
    """The cost of a step."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    mb: float = 0.0


@contextlib.contextmanager
def measured() -> Iterator[Cost]:
    """Measure this process and its children."""
    cost, stop, me = Cost(), Event(), psutil.Process()
    before = me.memory_info().rss

    def watch() -> None:
        while not stop.wait(_EVERY_S):
            held = -before
            for process in (me, *me.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    held += process.memory_info().rss
            cost.mb = max(cost.mb, held / 1e6)

    thread = Thread(target=watch)
    thread.start()
    start, cpu = time.perf_counter(), cpu_seconds()
    yield cost
    DECODERS.close()  # the CPU time of children counts once they have ended
    cost.seconds, cost.cpu_seconds = time.perf_counter() - start, cpu_seconds() - cpu
    stop.set()
    thread.join()


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--only", help="names of images")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    names = options.only.split(",") if options.only else list(HOSTILE)
    worst, passed = Cost(), True
    good = saved("JPEG", 256)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        alone = {}
        for step, run in STEPS.items():
            run({"jpeg-good": good}, folder / f"{step}-warm")
            with measured() as alone[step]:
                run({"jpeg-good": good}, folder / f"{step}-alone")
        for name in names:
            data = HOSTILE[name].make(FILLER)
            for step, run in STEPS.items():
                with measured() as cost:
                    reasons = run({"jpeg-good": good, name: data}, folder / f"{step}-{name}")
                cost.seconds = max(0.0, cost.seconds - alone[step].seconds)
                cost.cpu_seconds = max(0.0, cost.cpu_seconds - alone[step].cpu_seconds)
                expected = (HOSTILE[name].reason, "decoding_timeout")  # on a slow machine
                told = reasons["jpeg-good"] is None and reasons[name] in expected
                within = cost.mb <= MEMORY_BYTES / 1e6 + MOST_MB and cost.cpu_seconds <= MOST_S
                passed = passed and told and within
                worst.seconds = max(worst.seconds, cost.seconds)
                worst.cpu_seconds = max(worst.cpu_seconds, cost.cpu_seconds)
                worst.mb = max(worst.mb, cost.mb)
                mark = "" if told and within else f"  NOT {HOSTILE[name].reason}, or too much"
                row = f"{name:32}{step:10}{cost.seconds:6.2f} s{cost.cpu_seconds:6.2f} s of CPU"
                print(f"{row}{cost.mb:7.0f} MB  {reasons[name]}{mark}", flush=True)
    if options.json:
        figures = {
            "worst_s": round(worst.seconds, 2),
            "worst_cpu_s": round(worst.cpu_seconds, 2),
            "worst_mb": round(worst.mb),
            "budget_mb": round(MEMORY_BYTES / 1e6),
            "images": len(names),
            "passed": passed,
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
