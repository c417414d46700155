"""The feed benchmark runs with all its parts, and its pixels equal Pillow's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_all_parts_of_it_run():
    """Its last line has a figure for each aim; which are reached is for a quiet machine to say."""
    pytest.importorskip("skimage")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "feed.py"), "--tiny", "--json"],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    for rates in (told["one_thread"], told["all_threads"], told["all_processes"]):
        assert set(rates) == {"224", "384"}
        assert min(rates.values()) > 0
    assert set(told["core_ms"]) == {
        f"{size} MP to {side}" for size in ("0.54", "12") for side in (224, 384)
    }
    assert told["scaling"] > 0
    assert told["scaling_of_processes"] > 0
    assert min(told["parent_us_per_image"].values()) > 0
    assert min(told["switches_per_image"].values()) > 0
    assert 0 < told["gil_share"] < 1
    assert told["min_cosine"] >= 0.9995
