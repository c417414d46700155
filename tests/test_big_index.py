"""The benchmark of a big index runs, at a size that takes seconds."""

import json
from pathlib import Path

import pytest

from benchmarks.big_index import main


def test_it_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its last line has the figures of both layouts; recall is that of codes that fit."""
    main(["--rows", "20000", "--folder", str(tmp_path), "--json"])
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["rows_10m"] == 20_000
    assert told["recall_10m"] >= 0.9
    assert 0.1 < told["build_gb_10m"] < 1.5
    assert {*told["recalls_10m"]} == {"ivf_pq", "ivf_pq, lists on disk"}
    assert min(told["queries_per_second_10m"].values()) > 0
    assert not [*tmp_path.iterdir()]
