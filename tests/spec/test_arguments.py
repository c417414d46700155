"""Arguments: their types, and their unchanged passage through an argument vector."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.spec.arguments import (
    Argument,
    from_words,
    resolve,
    split_argv,
    to_argv,
)
from fondant_spec.spec.bounds import Bounds

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)
VALUES = {
    "str": TEXTS,
    "int": st.integers(),
    "float": FLOATS,
    "bool": st.booleans(),
    "list": st.lists(JSON),
    "dict": st.dictionaries(TEXTS, JSON),
}
TYPED = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.none() | VALUES[name], st.just(name).flatmap(VALUES.__getitem__)
    )
)


@given(st.lists(TYPED, max_size=5))
def test_values_survive_the_argument_vector(cases):
    """Any checked value of any type comes back as it was, whatever the default is."""
    declared = {
        f"a{n}": Argument(f"a{n}", type_, default=default)
        for n, (type_, default, _) in enumerate(cases)
    }
    values = {f"a{n}": declared[f"a{n}"].check(value) for n, (_, _, value) in enumerate(cases)}
    back = from_words(declared, split_argv(to_argv(declared, values)), "step")
    assert same(back, values)


@given(TYPED)
def test_none_needs_no_word(case):
    """None is the one value that no word stands for; every other has one, default or not."""
    type_, default, _ = case
    declared = {"a": Argument("a", type_, default=default)}
    values = resolve(declared, {}, "step")
    assert (to_argv(declared, values) == []) == (default is None)
    assert same(from_words(declared, split_argv(to_argv(declared, values)), "step"), values)


@pytest.mark.parametrize("type_", sorted(VALUES))
def test_an_empty_text_is_no_value(type_):
    """Where None is the default, forms and command lines can say it; elsewhere nothing changes."""
    argument = Argument("a", type_, default=None)
    assert argument.from_text("") is None
    assert argument.check("") is None
    required = Argument("a", type_)
    if type_ == "str":
        assert required.from_text("") == ""
    else:
        with pytest.raises(InvalidArgumentError, match=f"must be of type {type_}"):
            required.from_text("")


HARD = {
    "spaces": "a b  c ",
    "quotes": 'it\'s "quoted" `and` $HOME \\ back',
    "lines": "one\ntwo\r\n\tthree",
    "dashes": "--not-a-name",
    "equals": "a=b=c",
    "empty": "",
    "unicode": "žluťoučký 馬 🐎 \u202e",
    "json": '{"a": 1}',
    "number": "12",
    "none": "None",
}


def test_values_survive_a_real_process():
    """What a started process finds in its argument vector gives the values back."""
    declared = {name: Argument(name, "str") for name in HARD}
    declared |= {
        "off": Argument("off", "bool", default=True),
        "nothing": Argument("nothing", "int", default=None),
        "nested": Argument("nested", "dict", default={}),
        "negative": Argument("negative", "int", default=0),
        "large": Argument("large", "float", default=0.0),
    }
    values = HARD | {
        "off": False,
        "nothing": None,
        "nested": {"a b": [1, -2.5, None, True, {"ü": "\n"}], "": []},
        "negative": -7,
        "large": -1.7976931348623157e308,
    }
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *to_argv(declared, values)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert from_words(declared, split_argv(json.loads(output)), "step") == values


@pytest.mark.parametrize(
    ("type_", "word", "expected"),
    [
        ("int", "1.0", 1),
        ("int", "1e3", 1000),
        ("int", "-5", -5),
        ("float", "3", 3.0),
        ("float", "1e-3", 0.001),
        ("bool", "true", True),
        ("bool", "false", False),
        ("bool", "True", True),
        ("bool", "False", False),
        ("list", "[]", []),
        ("tuple", "[1, 2]", [1, 2]),
        ("dict", '{"a": {"b": null}}', {"a": {"b": None}}),
        ("str", "1.0", "1.0"),
        ("str", "null", "null"),
    ],
)
def test_words_as_kubeflow_writes_them(type_, word, expected):
    """Kubeflow's JSON, with its whole floats for ints, gives values of the declared type."""
    value = Argument("x", type_).from_text(word)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("type_", "word", "message"),
    [
        ("int", "1.5", "argument 'x' must be of type int, not 1.5 (float)."),
        ("int", "many", "argument 'x' must be of type int in JSON, not 'many'."),
        ("int", "true", "argument 'x' must be of type int, not True (bool)."),
        ("int", "", "argument 'x' must be of type int in JSON, not ''."),
        ("int", "null", "argument 'x' must be of type int, not None (NoneType)."),
        ("int", "Infinity", "argument 'x' must be of type int, not inf (float)."),
        ("float", '"1"', "argument 'x' must be of type float, not '1' (str)."),
        ("float", "true", "argument 'x' must be of type float, not True (bool)."),
        ("bool", "1", "argument 'x' must be of type bool, not 1 (int)."),
        ("bool", "yes", "argument 'x' must be of type bool in JSON, not 'yes'."),
        ("list", "{}", "argument 'x' must be of type list, not {} (dict)."),
        ("list", "a,b", "argument 'x' must be of type list in JSON, not 'a,b'."),
        ("dict", "[]", "argument 'x' must be of type dict, not [] (list)."),
        ("dict", "{'a': 1}", "argument 'x' must be of type dict in JSON, not \"{'a': 1}\"."),
    ],
)
def test_words_of_another_type_are_refused(type_, word, message):
    """A word that does not spell the type is refused, and quoted."""
    with pytest.raises(InvalidArgumentError) as caught:
        Argument("x", type_).from_text(word)
    assert str(caught.value) == message


def test_a_number_too_long_to_read_is_refused():
    """Python refuses to read huge numbers, which makes it a wrong argument."""
    with pytest.raises(InvalidArgumentError, match=r"^argument 'x' must be of type int in JSON"):
        Argument("x", "int").from_text("9" * 10_000)


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("str", Path("a/b"), "a/b"),
        ("list", (1, 2), [1, 2]),
        ("list", [(1, 2), {"a": (3,)}], [[1, 2], {"a": [3]}]),
        ("set", {"b", "a"}, ["a", "b"]),
        ("float", 2, 2.0),
        ("int", 2.0, 2),
    ],
)
def test_values_are_made_plain(type_, value, expected):
    """What Python has more kinds of than JSON becomes what comes out at the other end."""
    checked = Argument("x", type_).check(value)
    assert checked == expected
    assert type(checked) is type(expected)


FINITE = "argument 'x' must have finite numbers only, not "
PLAIN = (
    "argument 'x' must be made of texts, numbers, lists and objects with texts as keys, but holds"
)


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("str", 3, "argument 'x' must be of type str, not 3 (int)."),
        ("str", None, "argument 'x' must be of type str, not None (NoneType)."),
        ("str", "a\0b", "argument 'x' must not hold a NUL character: 'a\\x00b'."),
        ("list", "abc", "argument 'x' must be of type list, not 'abc' (str)."),
        (
            "dict",
            {1: "a"},
            PLAIN + " {1: 'a'} (dict).",
        ),
        (
            "list",
            [b"bytes"],
            PLAIN + " b'bytes' (bytes).",
        ),
        ("float", math.nan, FINITE + "nan."),
        ("float", -math.inf, FINITE + "-inf."),
        ("list", [1, math.inf], FINITE + "inf."),
        ("dict", {"a": [math.nan]}, FINITE + "nan."),
        (
            "float",
            10**400,
            "argument 'x' is too large for a float: give a smaller number.",
        ),
    ],
)
def test_values_that_no_word_can_spell_are_refused(type_, value, message):
    """A value that would arrive as another one is refused before it starts its way."""
    with pytest.raises(InvalidArgumentError) as caught:
        Argument("x", type_).check(value)
    assert str(caught.value) == message


def test_a_component_cannot_spoil_the_default():
    """Each use of a component gets a list or dict of its own."""
    argument = Argument("x", "dict", default={"a": []})
    resolve({"x": argument}, {}, "step")["x"]["a"].append(1)
    assert argument.default == {"a": []}


def test_bounds_hold_for_values_from_python_and_from_words():
    """A value out of bounds is refused wherever it comes from; None is, where it is the default."""
    argument = Argument("quality", "int", default=None, bounds=Bounds(minimum=1, maximum=100))
    assert argument.check(None) is None
    assert argument.check(100) == argument.from_text("100") == 100
    for refused in (lambda: argument.check(101), lambda: argument.from_text("101")):
        with pytest.raises(InvalidArgumentError) as caught:
            refused()
        assert str(caught.value) == "argument 'quality' must be from 1 to 100, not 101."
    with pytest.raises(InvalidArgumentError, match="must be of type int, not True"):
        argument.check(True)  # noqa: FBT003
    with pytest.raises(InvalidArgumentError, match=r"^step: argument 'quality' must be from 1"):
        resolve({"quality": argument}, {"quality": 0}, "step")


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (Argument("x", "str"), "required"),
        (Argument("x", "str", default=None), "none"),
        (Argument("x", "str", default="é"), '"é"'),
        (Argument("x", "bool", default=True), "true"),
        (Argument("x", "list", default=[80, 443]), "[80, 443]"),
    ],
)
def test_defaults_as_help_texts_show_them(argument, text):
    """A default is shown as it would be given, or it is said that there is none."""
    assert argument.default_text == text


def test_choices():
    """A value outside the choices is refused; None is allowed where it is the default."""
    argument = Argument("mode", "str", default=None, choices=("border", "no"))
    assert argument.check(None) is None
    assert argument.check("no") == "no"
    with pytest.raises(InvalidArgumentError) as caught:
        argument.check("crop")
    assert str(caught.value) == "argument 'mode' must be one of 'border', 'no', not 'crop'."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"batch_sise": 1},
            (
                "embed: unknown argument 'batch_sise'; did you mean 'batch_size'? "
                "Known: model_id, batch_size."
            ),
        ),
        ({}, "embed: missing argument 'model_id'; give it a value."),
        (
            {"model_id": "m", "batch_size": "8"},
            "embed: argument 'batch_size' must be of type int, not '8' (str).",
        ),
    ],
)
def test_resolve_refuses(given, message):
    """An unknown, missing or wrong argument is named, with its step."""
    declared = {
        "model_id": Argument("model_id", "str"),
        "batch_size": Argument("batch_size", "int", default=8),
    }
    with pytest.raises(InvalidArgumentError) as caught:
        resolve(declared, given, "embed")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["a"], "expected an argument name such as --batch_size, found 'a'."),
        (["-a", "1"], "expected an argument name such as --batch_size, found '-a'."),
        (["--", "1"], "expected an argument name such as --batch_size, found '--'."),
        (["--=1"], "expected an argument name such as --batch_size, found '--=1'."),
        (["--a", "1", "--b"], "argument 'b' has no value."),
        (["--a", "1", "--a=2"], "argument 'a' is given twice."),
    ],
)
def test_malformed_argument_vectors(argv, message):
    """An argument vector that is not names and words is refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        split_argv(argv)
    assert str(caught.value) == message


def test_a_word_may_look_like_a_name():
    """The word after a name is always its value."""
    assert split_argv(["--a", "--b", "--c=", "--d=x=y"]) == {"a": "--b", "c": "", "d": "x=y"}


def same(a: object, b: object) -> bool:
    """Return whether two values are equal and of the same types all the way down."""
    return repr(a) == repr(b)
