"""The reader of component specs: Fondant's own, and bad ones."""

import math
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from fondant_spec.errors import InvalidComponentSpecError
from fondant_spec.spec.bounds import Bounds
from fondant_spec.spec.component_spec import ComponentSpec, FieldSpec

FONDANT_SPECS = sorted((Path(__file__).parents[1] / "fondant_specs").glob("*.yaml"))
LOADS = {p.stem for p in FONDANT_SPECS if p.stem.startswith("load_")}

SPEC = """
name: Caption images
description: Captions.
image: fondant/caption_images:dev
tags: [Image processing]
consumes:
  image: {type: binary, description: The file.}
  width: {type: int32, optional: true}
  additionalProperties: true
produces:
  caption: {type: utf8}
cardinality: maps
args:
  model_id: {type: str, description: The model., default: blip, path: true}
  precision: {type: str, default: auto, choices: [auto, bf16]}
  revision: {type: str, default: null}
  steps: {type: float, default: 1, exclusive_minimum: 0, maximum: 9}
  limit: {type: int}
"""


@pytest.mark.parametrize("path", FONDANT_SPECS, ids=lambda path: path.stem)
def test_every_spec_of_fondants_hub_is_read(path):
    """The specs of all components of Fondant 0.12.1 are read, and nothing of them is lost."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec = ComponentSpec.from_file(path)
    assert (spec.name, spec.image) == (content["name"], content["image"])
    assert list(spec.tags) == content.get("tags", [])
    for side in ("consumes", "produces"):
        declared = dict(content.get(side, {}))
        assert getattr(spec, f"{side}_any") == declared.pop("additionalProperties", False)
        if side == "produces" and spec.previous_index:
            declared.setdefault(spec.previous_index)
        assert list(getattr(spec, side)) == list(declared)
    arguments = content.get("args") or {}
    assert {name: a.type for name, a in spec.arguments.items()} == {
        name: a["type"] for name, a in arguments.items()
    }
    for name, argument in arguments.items():
        expected = argument.get("default")
        assert spec.arguments[name].required == ("default" not in argument)
        if "default" in argument:
            assert spec.arguments[name].default == (None if expected == "None" else expected)


def test_the_hub_is_complete():
    """There are as many specs as Fondant 0.12.1 has components."""
    assert len(FONDANT_SPECS) == 27


def test_which_components_write():
    """Those that are told where files are to go, and produce no rows."""
    specs = map(
        ComponentSpec.from_file,
        (Path(__file__).parents[2] / "components").glob("*/fondant_component.yaml"),
    )
    writers = {spec.component_id for spec in specs if spec.writes}
    assert writers == {"evaluate_images", "export_dataset", "fine_tune"}


@pytest.mark.parametrize("path", FONDANT_SPECS, ids=lambda path: path.stem)
def test_the_cardinality_of_a_fondant_spec(path):
    """What makes new ids explodes, what produces nothing filters, and anything else maps."""
    spec = ComponentSpec.from_file(path)
    assert spec.loads == (path.stem in LOADS)
    if path.stem in LOADS or spec.previous_index:
        assert spec.cardinality == "explodes"
    else:
        assert spec.cardinality == ("maps" if spec.produces or spec.produces_any else "filters")


def test_the_content_of_a_spec(tmp_path):
    """Every key of a spec is read, and a spec is found by the folder that holds it."""
    (tmp_path / "fondant_component.yaml").write_text(SPEC, encoding="utf-8")
    spec = ComponentSpec.from_file(tmp_path)
    assert spec.component_id == "caption_images"
    assert spec.consumes == {
        "image": FieldSpec("image", pa.binary(), description="The file."),
        "width": FieldSpec("width", pa.int32(), optional=True),
    }
    assert spec.produces == {"caption": FieldSpec("caption", pa.string())}
    assert (spec.consumes_any, spec.produces_any, spec.loads) == (True, False, False)
    assert spec.arguments["model_id"].path
    assert spec.arguments["precision"].choices == ("auto", "bf16")
    assert spec.arguments["revision"].default is None
    assert repr(spec.arguments["steps"].default) == "1.0"
    assert spec.arguments["steps"].bounds == Bounds(exclusive_minimum=0, maximum=9)
    assert spec.arguments["limit"].required
    assert spec.source is None


def test_code_beside_a_spec_is_found(tmp_path):
    """A spec with `src/main.py` beside it can be run without an image."""
    (tmp_path / "fondant_component.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").touch()
    assert ComponentSpec.from_file(tmp_path).source == tmp_path


BASE = {"name": "A", "description": "B", "image": "c"}


def test_what_fondant_lets_a_list_say_of_its_items_is_no_error():
    """Fondant's reader takes `items` below an argument, and does nothing with it."""
    content = {**BASE, "args": {"words": {"type": "list", "items": {"type": "str"}}}}
    assert ComponentSpec.from_dict(content).arguments["words"].check(["a"]) == ["a"]


KNOWN = (
    "args, cardinality, consumes, description, image, name, network, previous_index, produces, "
    "resources, tags."
)
RESERVED = "an argument needs a name of letters, digits and `_` that is not reserved."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "s: must be a mapping with the keys name, description and image."),
        ([], "s: must be a mapping with the keys name, description and image."),
        ({"name": "A", "image": "c"}, "s: `description` is required and must be a text."),
        ({**BASE, "name": " "}, "s: `name` is required and must be a text."),
        ({**BASE, "image": 3}, "s: `image` is required and must be a text."),
        (
            {**BASE, "produecs": {}},
            f"s: unknown key 'produecs'; did you mean 'produces'? Known: {KNOWN}",
        ),
        (
            {**BASE, "consumes": {"image": {"type": "binary", "optinal": True}}},
            (
                "s: consumes.image: unknown key 'optinal'; did you mean 'optional'? Known: "
                "description, format, items, optional, properties, size, type."
            ),
        ),
        (
            {**BASE, "produces": {"image": {"type": "binary", "optional": True}}},
            (
                "s: produces.image: unknown key 'optional'. Known: "
                "description, format, items, properties, size, type."
            ),
        ),
        (
            {**BASE, "produces": {"a": {"type": "array", "items": {"typ": "int8"}}}},
            (
                "s: produces.a.items: unknown key 'typ'; did you mean 'type'? Known: "
                "format, items, properties, size, type."
            ),
        ),
        (
            {**BASE, "produces": {"a": {"type": "array"}}},
            "s: produces.a: an array needs `items`, such as `items: {type: float32}`.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "defualt": 1}}},
            (
                "s: args.a: unknown key 'defualt'; did you mean 'default'? Known: "
                "affects_result, by_reference, choices, default, description, exclusive_maximum, "
                "exclusive_minimum, hub, items, maximum, minimum, names_fields, needed_for, "
                "neighbours, output, path, pattern, prominent, revision_of, type."
            ),
        ),
        ({**BASE, "tags": "x"}, "s: `tags` must be a list of texts."),
        (
            {**BASE, "consumes": {}},
            "s: `consumes` must be a mapping of field name to type; leave it out for none.",
        ),
        (
            {**BASE, "consumes": None},
            "s: `consumes` must be a mapping of field name to type; leave it out for none.",
        ),
        (
            {**BASE, "consumes": {"image": "binary"}},
            "s: consumes.image: must be a mapping with a `type`, such as `{type: string}`.",
        ),
        (
            {**BASE, "consumes": {"images": {"fields": {"data": {"type": "binary"}}}}},
            (
                "s: consumes.images: this is a spec for Fondant before 0.8, with fields in "
                "subsets; write each field by itself, as in `images_data: {type: ...}`."
            ),
        ),
        (
            {**BASE, "produces": {"additionalSubsets": False, "a": {"type": "int8"}}},
            (
                "s: produces.additionalSubsets: this is a spec for Fondant before 0.8, with "
                "fields in subsets; write `additionalProperties`, as in "
                "`additionalProperties: true`."
            ),
        ),
        (
            {**BASE, "consumes": {1: {"type": "int8"}}},
            "s: consumes.1: must be a mapping with a `type`, such as `{type: string}`.",
        ),
        (
            {**BASE, "produces": {"id": {"type": "string"}}},
            "s: produces.id: `id` is the index, which every component gets; use another name.",
        ),
        (
            {**BASE, "consumes": {"additionalProperties": "yes"}},
            "s: consumes: `additionalProperties` must be true or false, not 'yes'.",
        ),
        (
            {**BASE, "consumes": {"a": {"type": "int8", "optional": 1}}},
            "s: consumes.a: `optional` must be true or false, not 1.",
        ),
        (
            {**BASE, "resources": "2Gi"},
            's: `resources` must be a mapping, such as `{cpu: "1", memory: 2Gi}`.',
        ),
        (
            {**BASE, "resources": {"gpu": 1}},
            (
                "s: resources: unknown key 'gpu'; did you mean 'cpu'? Known: cpu, cpu_limit, "
                "memory, memory_limit."
            ),
        ),
        (
            {**BASE, "resources": {"memory": "2GB"}},
            (
                "s: resources: memory: '2GB' is no quantity of Kubernetes; write it like '500m', "
                "'2', '8Gi' or '16G'."
            ),
        ),
        ({**BASE, "previous_index": 1}, "s: `previous_index` must be a field name, not 1."),
        (
            {**BASE, "cardinality": "map"},
            "s: `cardinality` must be one of maps, filters, explodes, not 'map'.",
        ),
        (
            {**BASE, "consumes": {"a": {"type": "int8"}}, "cardinality": "explodes"},
            (
                "s: a component that explodes names the field that keeps the parent's id in "
                "`previous_index`; others have none."
            ),
        ),
        (
            {
                **BASE,
                "consumes": {"a": {"type": "int8"}},
                "produces": {"b": {"type": "string"}},
                "cardinality": "maps",
                "previous_index": "b",
            },
            (
                "s: a component that explodes names the field that keeps the parent's id in "
                "`previous_index`; others have none."
            ),
        ),
        (
            {
                **BASE,
                "consumes": {"a": {"type": "int8"}},
                "produces": {"seed": {"type": "int64"}},
                "previous_index": "seed",
            },
            "s: the field 'seed' that `previous_index` names must be a string.",
        ),
        (
            {**BASE, "args": ["a"]},
            "s: `args` must be a mapping of argument name to its type and description.",
        ),
        (
            {**BASE, "args": {"a b": {"type": "int"}}},
            (
                "s: args.a b: an argument needs a name of letters, digits and `_` that is not "
                "reserved."
            ),
        ),
        (
            {**BASE, "args": {"base_path": {"type": "str"}}},
            f"s: args.base_path: {RESERVED}",
        ),
        (
            {**BASE, "args": {"a": "int"}},
            "s: args.a: must be a mapping with a `type`, such as `{type: int, default: 1}`.",
        ),
        (
            {**BASE, "args": {"a": {"type": "integer"}}},
            "s: args.a: `type` must be one of str, int, float, bool, list, tuple, set, dict.",
        ),
        (
            {**BASE, "args": {"a": {"type": ["int"]}}},
            "s: args.a: `type` must be one of str, int, float, bool, list, tuple, set, dict.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "choices": 3}}},
            "s: args.a: `choices` must be a list of values.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "default": "8"}}},
            "s: args.a: the default is wrong: argument 'a' must be of type int, not '8' (str).",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "default": "x", "choices": ["y"]}}},
            "s: args.a: the default is wrong: argument 'a' must be one of 'y', not 'x'.",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "path": "yes"}}},
            "s: args.a: `path` must be true or false, not 'yes'.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "default": 0, "minimum": 1}}},
            "s: args.a: the default is wrong: argument 'a' must be at least 1, not 0.",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "default": "x", "pattern": "y+"}}},
            "s: args.a: the default is wrong: argument 'a' must be a text of the form y+, not 'x'.",
        ),
        (
            {**BASE, "args": {"a": {"type": "float", "default": math.nan}}},
            (
                "s: args.a: the default is wrong: argument 'a' must have finite numbers only, "
                "not nan."
            ),
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "minimum": 1}}},
            "s: args.a: `minimum` is for numbers and lists of numbers, not for the type str.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "pattern": "x"}}},
            "s: args.a: `pattern` is for texts and lists of texts, not for the type int.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "maximum": "9"}}},
            "s: args.a: `maximum` must be a finite number, not '9'.",
        ),
        (
            {**BASE, "args": {"a": {"type": "float", "exclusive_minimum": -math.inf}}},
            "s: args.a: `exclusive_minimum` must be a finite number, not -inf.",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "revision_of": "b"}}},
            "s: args.a: `revision_of` must be `{model: ARGUMENT}` or `{dataset: ARGUMENT}`.",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "revision_of": {"model": "b"}}}},
            "s: args.a: `revision_of` names 'b', which is no argument.",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "needed_for": "b"}}},
            "s: args.a: `needed_for` must be a list of names of produced fields.",
        ),
        (
            {**BASE, "args": {"a": {"type": "str", "pattern": "["}}},
            "s: args.a: `pattern` must be a regular expression, not '['.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "minimum": 2, "maximum": 1}}},
            "s: args.a: no value is from 2 to 1; state bounds that a value can satisfy.",
        ),
        (
            {**BASE, "args": {"a": {"type": "int", "exclusive_minimum": 1, "maximum": 1}}},
            (
                "s: args.a: no value is above 1 and at most 1; state bounds that a value can "
                "satisfy."
            ),
        ),
    ],
)
def test_bad_specs_are_refused(content, message):
    """The first broken rule is named, with its place and the remedy."""
    with pytest.raises(InvalidComponentSpecError) as caught:
        ComponentSpec.from_dict(content, where="s")
    assert str(caught.value) == message


def test_a_missing_spec(tmp_path):
    """A path that holds no spec is an error that names it."""
    with pytest.raises(InvalidComponentSpecError) as caught:
        ComponentSpec.from_file(tmp_path)
    file = tmp_path / "fondant_component.yaml"
    assert str(caught.value) == (
        f"{file}: cannot read the component spec (No such file or directory); check the path."
    )


@pytest.mark.parametrize(
    "content", [b"a: [", b"\xff\xfe\0", b"!!python/object/apply:os.system [ls]"]
)
def test_what_is_not_yaml(tmp_path, content):
    """Broken YAML and YAML that would run code are refused."""
    file = tmp_path / "fondant_component.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidComponentSpecError) as caught:
        ComponentSpec.from_file(file)
    assert str(caught.value).startswith(f"{file}: not valid YAML: ")


@pytest.mark.parametrize("key", ["path", "output"])
def test_only_a_text_names_a_path(key):
    """A list of paths would be neither in the cache key nor mounted, so it is refused."""
    content = {**BASE, "args": {"a": {"type": "list", key: True}}}
    with pytest.raises(InvalidComponentSpecError, match=f"`{key}` is for an argument of type str"):
        ComponentSpec.from_dict(content)
