"""Mapping a component's fields to a dataset's, and the resulting dataset."""

import pyarrow as pa
import pytest

from fondant_spec.dataset.field_mapping import fields_after, map_fields, satisfies
from fondant_spec.dataset.manifest import Field
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.spec.component_spec import ComponentSpec

IMAGE, TEXT = {"type": "binary"}, {"type": "string"}
VECTOR = {"type": "array", "items": {"type": "float32"}}
AVAILABLE = {
    "image": Field("image", pa.binary(), "/load/data"),
    "text": Field("text", pa.string(), "/load/data"),
    "vector": Field("vector", pa.list_(pa.float32(), 4), "/embed/data"),
}


def spec(cardinality: str = "maps", **content: object) -> ComponentSpec:
    """Return a spec with some consumed and produced fields."""
    content = {"name": "A", "description": "B", "image": "c", "cardinality": cardinality} | content
    return ComponentSpec.from_dict(content)


@pytest.mark.parametrize(
    ("component", "produces", "expected"),
    [
        (
            spec(consumes={"image": IMAGE}, produces={"caption": TEXT}),
            {},
            {"image": "/load", "text": "/load", "vector": "/embed", "caption": "/step"},
        ),
        (
            spec(consumes={"image": IMAGE}, produces={"image": IMAGE}),
            {},
            {"image": "/step", "text": "/load", "vector": "/embed"},
        ),
        (
            spec(consumes={"image": IMAGE}, produces={"image": IMAGE}),
            {"image": "resized"},
            {"image": "/load", "text": "/load", "vector": "/embed", "resized": "/step"},
        ),
        (
            spec("filters", consumes={"text": TEXT}),
            {},
            {"image": "/load", "text": "/load", "vector": "/embed"},
        ),
        (
            spec(
                "explodes",
                consumes={"vector": VECTOR},
                produces={"url": TEXT},
                previous_index="seed",
            ),
            {},
            {"url": "/step", "seed": "/step"},
        ),
        (
            spec(consumes={"image": IMAGE}, produces={"additionalProperties": True}),
            {"score": "float32", "box": {"type": "array", "items": {"type": "int32"}}},
            {
                "image": "/load",
                "text": "/load",
                "vector": "/embed",
                "score": "/step",
                "box": "/step",
            },
        ),
    ],
    ids=["maps", "overwrites", "renames", "filters", "explodes", "additional"],
)
def test_evolution(component, produces, expected):
    """A step adds and overwrites what it produces and keeps the rest; new ids keep none."""
    mapping = map_fields(component, AVAILABLE, {}, produces, "step")
    kept = {} if component.makes_ids else AVAILABLE
    fields = fields_after(mapping, kept, "/step/data")
    assert {
        name: field.location.removesuffix("/data") for name, field in fields.items()
    } == expected
    assert all(name == field.name for name, field in fields.items())


def test_consumes_maps_names():
    """A component's field is read from the dataset's field that the step names."""
    component = spec(consumes={"image": IMAGE, "additionalProperties": True}, produces={"x": TEXT})
    available = AVAILABLE | {"photo": Field("photo", pa.large_binary(), "/p")}
    mapping = map_fields(component, available, {"image": "photo", "label": "text"}, {}, "step")
    assert {name: field.name for name, field in mapping.inputs.items()} == {
        "image": "photo",
        "label": "text",
    }


def test_optional_fields():
    """An optional field is there if the dataset has it, and may be named under another name."""
    component = spec(
        consumes={"image": IMAGE, "alt": {**TEXT, "optional": True}}, produces={"x": TEXT}
    )
    assert list(map_fields(component, AVAILABLE, {}, {}, "step").inputs) == ["image"]
    named = map_fields(component, AVAILABLE, {"alt": "text"}, {}, "step")
    assert named.inputs["alt"].name == "text"


@pytest.mark.parametrize(
    ("consumes", "produces", "message"),
    [
        (
            {"text": "txet"},
            {},
            (
                "there is no field 'txet' at this point; did you mean 'text'? "
                "Fields here: image, text, vector."
            ),
        ),
        (
            {"text": "image"},
            {},
            (
                "field 'image' is of type binary, but the component consumes string; map another "
                "field to 'text' with `consumes`."
            ),
        ),
        ({"tekst": "text"}, {}, "the component consumes no field 'tekst'; did you mean 'text'?"),
        ({"text": 3}, {}, "consumes['text'] must be the name of a field, not 3."),
        (
            {},
            {"captoin": "x"},
            "the component produces no field 'captoin'; did you mean 'caption'?",
        ),
        ({}, {"caption": "id"}, "produces['caption'] must be the field's new name, not 'id'."),
        ({}, {"caption": 3}, "produces['caption'] must be the field's new name, not 3."),
        (
            {},
            {"caption": "score"},
            "two produced fields have the same name: ['score', 'score'].",
        ),
    ],
)
def test_what_does_not_fit(consumes, produces, message):
    """A field that is not there, of another type, or misspelt is told with what there is."""
    component = spec(consumes={"text": TEXT}, produces={"caption": TEXT, "score": TEXT})
    with pytest.raises(InvalidPipelineError) as caught:
        map_fields(component, AVAILABLE, consumes, produces, "step")
    assert str(caught.value) == f"step: {message}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("flaot32", "step: produces['x']: unknown type 'flaot32'; did you mean 'float32'?"),
        ({"items": 3}, "step: produces['x']: needs a `type`, such as `type: string`."),
        (3, "step: produces['x']: needs a `type`, such as `type: string`."),
    ],
)
def test_additional_fields_need_a_type(value, message):
    """A field that only the step names has a type, spelt as in a spec."""
    component = spec(consumes={"text": TEXT}, produces={"additionalProperties": True})
    with pytest.raises(InvalidPipelineError) as caught:
        map_fields(component, AVAILABLE, {}, {"x": value}, "step")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("actual", "declared", "expected"),
    [
        (pa.list_(pa.float32(), 4), pa.list_(pa.float32()), True),
        (pa.list_(pa.float32()), pa.list_(pa.float32(), 4), False),
        (pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 4), False),
        (pa.list_(pa.float64()), pa.list_(pa.float32()), False),
        (pa.list_(pa.large_string()), pa.list_(pa.string()), True),
        (pa.list_(pa.list_(pa.int8(), 2), 2), pa.list_(pa.list_(pa.int8())), True),
        (pa.large_string(), pa.string(), True),
        (pa.string(), pa.large_string(), False),
        (pa.large_binary(), pa.binary(), True),
        (pa.string(), pa.binary(), False),
        (pa.int32(), pa.int64(), False),
    ],
)
def test_which_types_serve(actual, declared, expected):
    """A fixed length is a list and a large text is a text, never the other way round."""
    assert satisfies(actual, declared) is expected
