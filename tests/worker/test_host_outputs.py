"""What a host receives about a finished step: the metrics file and the page."""

import json
import re
from pathlib import Path

import pytest

from fondant_spec.errors import InvalidArgumentError


def executor_input(folder: Path) -> str:
    """Return what the launcher of Kubeflow Pipelines says to a step."""
    artifact = {"name": "metrics", "uri": "minio://b/metrics", "type": {"schemaTitle": "M"}}
    outputs = {
        "artifacts": {"metrics": {"artifacts": [artifact]}},
        "outputFile": str(folder / "made" / "executor_output.json"),
    }
    return json.dumps({"inputs": {}, "outputs": outputs})


def test_metrics_and_page(enter, tmp_path):
    """Rows, rejects by reason and time are noted; the artifact stays where it was."""
    words = [
        *("--executor_input", executor_input(tmp_path)),
        *("--report_path", str(tmp_path / "made" / "page")),
    ]
    numbers = enter("numbers", rows=6)
    manifest = enter("double", numbers, reject_odd=True, words=words)
    told = json.loads((tmp_path / "made" / "executor_output.json").read_text())
    [artifact] = told["artifacts"]["metrics"]["artifacts"]
    assert artifact["uri"] == "minio://b/metrics"
    metadata = artifact["metadata"]
    assert metadata.pop("rows per second") == round(6 / manifest.seconds, 2)
    assert metadata == {
        "rows in": 6,
        "rows out": 3,
        "seconds": manifest.seconds,
        "rejects": 3,
        "rejects: odd": 3,
    }
    page = (tmp_path / "made" / "page").read_text(encoding="utf-8")
    assert re.search(r"<td>double<td class=number>6<td class=number>3<.*<td>odd 3</tr>", page)
    assert "<td>numbers<td" in page
    # A step that was done already tells the same.
    (tmp_path / "made" / "page").unlink()
    again = enter("double", numbers, reject_odd=True, words=words)
    assert again.digest == manifest.digest
    assert (tmp_path / "made" / "page").read_text(encoding="utf-8") == page


def test_arguments_in_one_object(enter):
    """Further arguments count like those that are named, and cannot be named again."""
    numbers = enter("numbers", rows=6)
    named = enter("double", numbers, factor=3, lexicon="x")
    words = ["--further_arguments", '{"factor": 3.0, "lexicon": "x"}']
    assert enter("double", numbers, words=words).location == named.location
    with pytest.raises(InvalidArgumentError, match="double: argument 'factor' is given twice"):
        enter("double", numbers, factor=3, words=words)
    with pytest.raises(InvalidArgumentError, match="unknown argument 'fcator'; did you mean 'fa"):
        enter("double", numbers, words=["--further_arguments", '{"fcator": 3}'])
