"""The GPU benchmark runs with all its parts, on a CPU and tiny models."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.gpu import PARTS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[1]
LEFT_OUT = set() if find_spec("torchvision") else {"clip-retrieval's loop"}
"""What wants a package that not everybody has."""


def test_all_parts_of_it_run(tmp_path):
    """Each part finds something and none fails; captions and vectors are those of the CPU."""
    pytest.importorskip("skimage")
    words = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--tiny", "--into", str(tmp_path)]
    variables = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    ended = [line for line in done.stdout.splitlines() if line.startswith("--- ")]
    assert [line.split()[1].removesuffix(":") for line in ended] == list(PARTS)
    assert all("exit code 0" in line for line in ended), done.stdout + done.stderr
    found = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {one["what"] for one in found if "failed" in one} <= LEFT_OUT
    assert {one["part"] for one in found} == set(PARTS) - {"world"}
    right = [one for one in found if one["part"] == "right"]
    assert {one["equal"] for one in right if "equal" in one} == {1.0}
    assert min(one["min_cosine"] for one in right if "min_cosine" in one) > 0.9999
