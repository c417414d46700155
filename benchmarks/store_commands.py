"""Runs `fondant-spec show s3://...` repeatedly, and measures exit codes and times.

    python benchmarks/store_commands.py [--calls 200]

Each call is a process of its own, against a real S3-compatible server on this machine (SeaweedFS),
and reads a manifest and the ids of a partition. A library that shuts down badly, for example with
threads still running, shows as an exit code other than 0 in one call of many.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.object_stores import BUCKET, s3_server
from tests.small import dataset


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200)
    calls = parser.parse_args().calls
    codes: Counter[int] = Counter()
    seconds, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as temporary, s3_server(Path(temporary)) as environment:
        os.environ |= environment
        made = dataset(f"s3://{BUCKET}/base", rows_per_partition=500, number=list(range(1000)))
        words = [str(Path(sys.executable).with_name("fondant-spec")), "show", made.folder]
        for _ in range(calls):
            began = time.perf_counter()
            done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603
            seconds.append(time.perf_counter() - began)
            codes[done.returncode] += 1
            if done.returncode or "number" not in done.stdout:
                sys.stderr.write(done.stdout + done.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {
        "calls": calls,
        "codes": dict(codes),
        "median_s": round(statistics.median(seconds), 2),
        "cpu_s_a_call": round(used / calls, 2),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
