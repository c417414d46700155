"""A few of the kills of `benchmarks/crash.py`, over a pipeline of small steps."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from argparse import Namespace
from pathlib import Path
from benchmarks.crash import Campaign
from benchmarks.crash_tally import Tally
from tests.pipelines.small import build
base = Path(sys.argv[1])
for _ in range(2):  # the second goes on where the first one was
    tally = Tally(base.with_name("tally.jsonl"))
    campaign = Campaign(build(Namespace(base_path=str(base))), tally, seed=5)
    campaign.kill_often("local", 2)
    campaign.start_twice(1)
print(json.dumps(tally.to_dict()))
"""

pytestmark = pytest.mark.long


def test_kills_and_a_run_beside_another(tmp_path):
    """After SIGKILL a rerun makes what an undisturbed run makes, and so do two runs at once."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "base")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    *said, tally = done.stdout.splitlines()
    found = json.loads(tally)
    del found["redone_partitions"]
    assert (found, said) == (
        {"kills": 2, "lost": 0, "duplicated": 0, "corrupt": 0, "identical": 1, "left_over": 0},
        [],
    )
