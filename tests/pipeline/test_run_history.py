"""The record of a finished run."""

import json
from dataclasses import replace

import pytest

from fondant_spec.cli import main
from fondant_spec.pipeline.run_history import StepResult, table
from tests.small import dataset


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        {"planned": [["a", "b"]]},
        {"planned": {"a": ["b"]}},
        {"started": 5},
        {"started": None},
        {"steps": 3},
        {"steps": [7]},
        {"steps": [{"step_id": "given", "cache_key": "0", "rows": "many", "cached": False}]},
        {"steps": [{"step_id": ["given"], "cache_key": "0", "rows": 1, "cached": False}]},
        {"steps": [{"step_id": "given", "cache_key": "0", "rows": 1}]},
    ],
)
def test_what_is_no_record_of_a_run(tmp_path, record, capsys):
    """Whoever reads the runs tells which folder to remove, also where a part is odd."""
    dataset(tmp_path, number=[1])
    folder = tmp_path / "pipeline" / "runs" / "odd"
    folder.mkdir(parents=True)
    if isinstance(record, dict):
        record = json.dumps({"started": "2026", "planned": {}} | record)
    (folder / "run.json").write_text(record)
    for words in (["runs"], ["show", "given"], ["gc", str(tmp_path), "pipeline"]):
        base = ["--base-path", str(tmp_path)] if words[0] != "gc" else []
        assert main([*words, *base]) == 1
        assert capsys.readouterr().err == (
            f"error: {folder}/run.json: not the record of a run; remove its folder.\n"
        )


@pytest.mark.parametrize(
    ("rejects", "told"),
    [
        ({}, "-"),
        ({"gone": 1}, "gone 1"),
        ({"b": 2, "c": 1, "a": 1200}, "a 1,200, b 2, c 1"),
        ({"a": 9, "b": 8, "c": 7, "d": 2, "e": 1}, "a 9, b 8, c 7, +3 more"),
    ],
)
def test_rejects_in_the_table(tmp_path, rejects, told):
    """The three most frequent reasons are named, and the rows of the others counted."""
    manifest = replace(dataset(tmp_path, number=[1]), rejects=rejects, rows_in=3)
    result = StepResult("given", manifest, 12.34, cached=True)
    (line,) = table([result]).splitlines()[2:]
    assert line == f"given        3         1  {told.ljust(7)}     12.3  cached"
