"""The page on a finished step: the steps before it, and some of its rows."""

import re
import shutil

import pyarrow as pa
import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.testing import write_dataset
from fondant_spec.worker.result_page import result_page
from tests.small import dataset

GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


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
