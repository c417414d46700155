"""Field types: their JSON form, to and from Arrow."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fondant_spec.errors import InvalidTypeError
from fondant_spec.spec.types import (
    check_field_keys,
    did_you_mean,
    reject_unknown_keys,
    type_from_json,
    type_to_json,
)

FONDANT_TYPES = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "decimal128": pa.decimal128(38),
    "time32": pa.time32("s"),
    "time64": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "duration": pa.duration("us"),
    "string": pa.string(),
    "utf8": pa.string(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "large_utf8": pa.large_string(),
}
"""What the type names of Fondant 0.12 mean in its own reader."""

SCALARS = st.sampled_from(sorted(set(FONDANT_TYPES.values()), key=str))
TYPES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        st.tuples(inner, st.integers(1, 2048)).map(lambda pair: pa.list_(*pair)),
        st.dictionaries(st.text(min_size=1), inner, max_size=4).map(
            lambda fields: pa.struct(list(fields.items())),
        ),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("name", "expected"), FONDANT_TYPES.items())
def test_every_type_of_fondant_is_known(name, expected):
    """A type name means the same Arrow type as in Fondant 0.12."""
    assert type_from_json({"type": name}) == expected


@pytest.mark.parametrize("name", [*FONDANT_TYPES, "decimal", "large_string"])
def test_a_type_is_written_under_a_name_that_fondant_reads(name):
    """Whatever alias a spec uses, the manifest has a name that Fondant 0.12 knows."""
    assert type_to_json(type_from_json({"type": name}))["type"] in FONDANT_TYPES


@given(TYPES)
def test_types_survive_the_round_trip(data_type):
    """Every type that can be named comes back unchanged, however deeply nested."""
    assert type_from_json(type_to_json(data_type)) == data_type


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "string", "format": "date-time"}, pa.timestamp("us", tz="UTC")),
        ({"type": "string", "format": "uri"}, pa.string()),
        ({"type": "array", "items": {"type": "float32"}}, pa.list_(pa.float32())),
        ({"type": "array", "items": "utf8"}, pa.list_(pa.string())),
        ({"type": "list", "items": {"type": "int8"}}, pa.list_(pa.int8())),
        ({"type": "array", "items": {"type": "float32"}, "size": 768}, pa.list_(pa.float32(), 768)),
        (
            {"type": "array", "items": {"type": "array", "items": {"type": "binary"}}},
            pa.list_(pa.list_(pa.binary())),
        ),
        (
            {
                "type": "object",
                "properties": {
                    "box": {"type": "array", "items": {"type": "int32"}, "size": 4},
                    "of": {"type": "object", "properties": {"label": {"type": "utf8"}}},
                },
            },
            pa.struct(
                [
                    ("box", pa.list_(pa.int32(), 4)),
                    ("of", pa.struct([("label", pa.string())])),
                ]
            ),
        ),
    ],
)
def test_nested_and_special_types(value, expected):
    """Arrays and objects nest, and a date-time is a timestamp in UTC."""
    assert type_from_json(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "x: needs a `type`, such as `type: string`."),
        ({"type": 3}, "x: needs a `type`, such as `type: string`."),
        ({"type": ["string", "null"]}, "x: needs a `type`, such as `type: string`."),
        ({"type": "array"}, "x: an array needs `items`, such as `items: {type: float32}`."),
        (
            {"type": "array", "items": [{"type": "int8"}]},
            "x: an array needs `items`, such as `items: {type: float32}`.",
        ),
        ({"type": "object"}, "x: an object needs `properties`, a mapping of name to type."),
        (
            {"type": "array", "items": {"type": "int8"}, "size": 0},
            "x: `size` must be a positive whole number, not 0.",
        ),
        (
            {"type": "array", "items": {"type": "int8"}, "size": True},
            "x: `size` must be a positive whole number, not True.",
        ),
        (
            {"type": "array", "items": {"type": "int8"}, "size": "3"},
            "x: `size` must be a positive whole number, not '3'.",
        ),
        (
            {"type": "array", "items": {}},
            "x.items: needs a `type`, such as `type: string`.",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            "x.a: an array needs `items`, such as `items: {type: float32}`.",
        ),
        (
            {"type": "object", "properties": {"a": "int8"}},
            "x.a: needs a `type`, such as `type: string`.",
        ),
        (
            {"type": "object", "properties": {1: {"type": "int8"}}},
            "x: an object needs `properties`, a mapping of name to type.",
        ),
        ("int8", "x: needs a `type`, such as `type: string`."),
    ],
)
def test_bad_types_are_refused(value, message):
    """A type that cannot be understood is refused, with its place in the spec."""
    with pytest.raises(InvalidTypeError) as caught:
        type_from_json(value, "x")
    assert str(caught.value) == message


def test_a_misspelt_type_gets_a_hint():
    """The nearest known name is suggested, and all of them are listed."""
    with pytest.raises(InvalidTypeError) as caught:
        type_from_json({"type": "flaot32"}, "embedding")
    message = str(caught.value)
    assert message.startswith(
        "embedding: unknown type 'flaot32'; did you mean 'float32'? Known: null, bool, int8,"
    )
    assert message.endswith("utf8, large_string, decimal, array, object, list, struct.")


@pytest.mark.parametrize(
    "data_type",
    [
        pa.map_(pa.string(), pa.int8()),
        pa.timestamp("ns"),
        pa.binary(16),
        pa.dictionary(pa.int8(), pa.string()),
    ],
)
def test_types_without_a_name_are_refused(data_type):
    """A type that a manifest cannot tell is an error rather than another type."""
    with pytest.raises(InvalidTypeError) as caught:
        type_to_json(data_type)
    expected = (
        f"Arrow type {data_type} has no name in a component spec; cast the column to another one."
    )
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"typ": "x"}, "f: unknown key 'typ'; did you mean 'type'? Known: "),
        ({"items": {"type": "a", "sise": 1}}, "f.items: unknown key 'sise'; did you mean 'size'?"),
        ({"properties": {"a": {"formt": 1}}}, "f.a: unknown key 'formt'; did you mean 'format'?"),
        ({"items": {"optional": True}}, "f.items: unknown key 'optional'. Known: "),
    ],
)
def test_unknown_keys_are_refused_at_every_depth(value, message):
    """A typo in a key is never ignored, and a key of the top is not one of what is nested."""
    with pytest.raises(InvalidTypeError) as caught:
        check_field_keys(value, "f", frozenset({"optional"}))
    assert str(caught.value).startswith(message)


def test_keys_need_not_be_texts():
    """YAML makes numbers of some keys; they are unknown like any other."""
    with pytest.raises(InvalidTypeError, match=r"^here: unknown key 3\. Known: a\.$"):
        reject_unknown_keys({3: "x"}, {"a"}, "here")


@pytest.mark.parametrize(("word", "expected"), [("imgae", "; did you mean 'image'?"), ("qqq", ".")])
def test_did_you_mean(word, expected):
    """A hint is given only where a known word is near."""
    assert did_you_mean(word, ["image", "caption"]) == expected
