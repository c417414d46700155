"""What a host is told of a finished step: the file with its metrics, and the page."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.result_page import result_page
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import write_dataset
from tests.small import dataset

GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


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


def test_an_earlier_step_that_is_gone(enter, tmp_path):
    """A later step ends well all the same, and its page says what it leaves out."""
    source = dataset(tmp_path, number=[1, 2, 1])
    repeated = enter("repeat", source)
    shutil.rmtree(source.folder)
    page = tmp_path / "made" / "page"
    enter("write_lines", repeated, words=["--report_path", str(page)])
    told = page.read_text(encoding="utf-8")
    assert re.findall(r"<tr><td>(\w+)", told)[:2] == ["repeat", "write_lines"]
    assert f"cannot be read any more: <code>{source.folder}</code>" in told


def test_rows_that_are_shown(tmp_path):
    """They come from all partitions, with their images in the page, and nothing in them runs."""
    count = 100
    table = pa.table(
        {
            "image": [GIF, b"no image"] * (count // 2),
            "caption": [f"<script>alert({n})</script>" for n in range(count)],
        }
    )
    page = result_page(write_dataset(table, tmp_path, rows_per_partition=7))
    shown = [int(n) for n in re.findall(r"alert\((\d+)\)", page)]
    assert len(shown) == 24
    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1] >= 98) == (0, True)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    images = page.count('src="data:image/gif;base64,R0lGODlhAQABAAAAADs="')
    assert images == sum(n % 2 == 0 for n in shown)


@pytest.mark.parametrize("table", [{"text": pa.array([], pa.string())}, {"number": [1, 2]}])
def test_a_dataset_without_images(tmp_path, table):
    """Its rows are a table, were there none."""
    manifest: Manifest = write_dataset(pa.table(table), tmp_path)
    page = result_page(manifest)
    assert f"<h2>{manifest.rows} of the rows</h2>" in page
    assert f"<th>{next(iter(table))}" in page or not manifest.rows


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
