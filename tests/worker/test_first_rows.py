"""What a component may look at before any rows arrive."""

import pyarrow as pa
import pytest

from fondant_spec.testing import write_dataset
from fondant_spec.worker.base_components import no_rows
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.step_request import read_request
from tests.small import COMPONENTS


def head(table, tmp_path, count, **written):
    """Return the first rows that a step sees which doubles numbers."""
    given = write_dataset(table, tmp_path, **written)
    words = ["--base_path", str(tmp_path), "--input_manifest_path", given.location]
    request = read_request(component_class(COMPONENTS / "double"), words)
    return request.context.inputs[0].head(["number"], count)


@pytest.mark.parametrize(
    ("count", "expected"), [(2, [3, None]), (3, [3, None, 5]), (9, [3, None, 5])]
)
def test_the_first_rows_are_those_of_the_first_partition(count, expected, tmp_path):
    """As many as asked for, as far as the first partition goes; nulls stay."""
    table = pa.table({"number": pa.array([3, None, 5, 7], pa.int64())})
    assert head(table, tmp_path, count, rows_per_partition=3) == {"number": expected}


def test_no_rows_at_all(tmp_path):
    """A step without rows looks at none."""
    assert head(pa.table({"number": pa.array([], pa.int64())}), tmp_path, 4) == {"number": []}
    assert no_rows(["a", "b"], 3) == {"a": [], "b": []}
