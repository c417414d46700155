"""A step that makes new ids may read datasets of different rows, one after the other."""

import pyarrow as pa
import pytest

from fondant_spec.dataset.lineage import lineage
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners import LocalRunner
from fondant_spec.testing import write_dataset
from tests.small import COMPONENTS, rows


def test_rows_of_both_datasets_come_through(enter, tmp_path):
    """Each row says which dataset it is from, and its lineage leads back there."""
    few = write_dataset(pa.table({"number": [2, 1]}), tmp_path / "few")
    more = write_dataset(pa.table({"number": [1]}), tmp_path / "more")
    both = f'["{few.location}", "{more.location}"]'

    result = enter("repeat", words=["--input_manifest_path", both])

    assert [row["id"] for row in rows(result)] == [
        "0-000000000000-00000",
        "0-000000000000-00001",
        "0-000000000001-00000",
        "1-000000000000-00000",
    ]
    assert result.rows_in == 3
    assert validate(result) == []
    assert lineage(result, "1-000000000000-00000").splitlines()[-2:] == [
        "given: 000000000000",
        "  number: 1",
    ]


def test_a_pipeline_may_begin_twice(tmp_path):
    """Two loads can lead to one step that explodes; the local runner and the cache agree on it."""
    pipeline = Pipeline("two", tmp_path)
    loads = [pipeline.add(COMPONENTS / "numbers", arguments={"rows": n}) for n in (2, 3)]
    pipeline.add(COMPONENTS / "repeat", after=loads)

    first = LocalRunner().run(pipeline.plan(), say=lambda _: None)
    second = LocalRunner().run(pipeline.plan(), say=lambda _: None)

    assert first[-1].manifest.rows == 0 + 1 + 0 + 1 + 2
    assert first[-1].manifest.location == pipeline.plan().steps[-1].location
    assert [result.cached for result in second] == [True, True, True]


def test_a_step_that_maps_needs_one_set_of_rows(tmp_path):
    """Rows of different origin have nothing to be zipped by."""
    pipeline = Pipeline("two", tmp_path)
    loads = [pipeline.add(COMPONENTS / "numbers", arguments={"rows": n}) for n in (2, 3)]
    pipeline.add(COMPONENTS / "double", after=loads)

    with pytest.raises(InvalidPipelineError, match="have different rows, because ids were made"):
        pipeline.plan()
