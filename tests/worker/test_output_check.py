"""Checking a component's output against its spec, including types."""

import pyarrow as pa
import pytest

from fondant_spec.dataset.field_mapping import map_fields
from fondant_spec.errors import CardinalityError
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.types import type_to_json
from fondant_spec.worker.output_check import OutputValidator


def conform(declared: pa.DataType) -> OutputValidator:
    """Return the check for a component that produces `x`, which becomes `y`."""
    content = {"name": "A", "description": "B", "image": "c", "cardinality": "maps"}
    spec = ComponentSpec.from_dict(content | {"produces": {"x": type_to_json(declared)}})
    return OutputValidator(spec, map_fields(spec, {}, {}, {"x": "y"}, "step"), "step")


@pytest.mark.parametrize(
    ("returned", "declared", "written"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.float64(), pa.float32(), pa.float32()),
        (pa.large_string(), pa.string(), pa.string()),
        (pa.large_binary(), pa.binary(), pa.binary()),
        (pa.null(), pa.list_(pa.float32()), pa.list_(pa.float32())),
        (pa.list_(pa.float32(), 2), pa.list_(pa.float32()), pa.list_(pa.float32(), 2)),
        (pa.list_(pa.float64(), 2), pa.list_(pa.float32()), pa.list_(pa.float32(), 2)),
        (pa.list_(pa.float16()), pa.list_(pa.float32(), 2), pa.list_(pa.float32(), 2)),
        (pa.large_list(pa.int8()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (
            pa.list_(pa.list_(pa.int8(), 1)),
            pa.list_(pa.list_(pa.int8())),
            pa.list_(pa.list_(pa.int8(), 1)),
        ),
        (
            pa.struct([("a", pa.int8())]),
            pa.struct([("a", pa.int64())]),
            pa.struct([("a", pa.int64())]),
        ),
    ],
)
def test_types_as_they_are_written(returned, declared, written):
    """A column is written as the declared type, but vectors keep their fixed length."""
    column = pa.array([None], returned)
    batch = pa.record_batch([["i"], column], names=["id", "x"])
    made = conform(declared).batch(batch)
    assert made.schema.names == ["id", "y"]
    assert made.schema.field("y").type == written


@pytest.mark.parametrize(
    ("returned", "declared", "message"),
    [
        (
            pa.array([1.5]),
            pa.int64(),
            "should be int64, not double: Float value 1.500000 was truncated",
        ),
        (pa.array([300]), pa.int8(), "should be int8, not int64: Integer value 300 not in range"),
        (pa.array(["x"]), pa.list_(pa.int8()), "not string: Unsupported cast"),
        (
            pa.array([[1.0, 2.0]]),
            pa.list_(pa.float32(), 3),
            "should be fixed_size_list<item: float>[3], not list<item: double>: ",
        ),
    ],
)
def test_values_that_do_not_fit(returned, declared, message):
    """A value that its type cannot hold is refused rather than changed."""
    batch = pa.record_batch([["i"], returned], names=["id", "x"])
    with pytest.raises(CardinalityError) as caught:
        conform(declared).batch(batch)
    assert str(caught.value).startswith("step: field 'x' should be ")
    assert message in str(caught.value)


def test_ids_are_texts():
    """Ids that come as numbers, or as large texts, are written as texts."""
    for ids in ([7], pa.array(["7"], pa.large_string())):
        batch = pa.record_batch([pa.array(ids), [1]], names=["id", "x"])
        assert conform(pa.int8()).batch(batch).column("id").equals(pa.array(["7"]))
