"""Prompts from lists and templates, made as runners have them made."""

from pathlib import Path
from typing import Any

import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import load_module

COMPONENT = Path(__file__).parents[1]
read_prompts = load_module(COMPONENT, "prompts").read_prompts
ANIMALS = """
templates: ["a photo of a {animal} in {place}", "a {animal}, and another {animal}"]
lists: {animal: [fox, owl], place: [the snow, a garden, "{town}"]}
"""
ALL_ANIMALS = [
    "a photo of a fox in the snow",
    "a photo of a fox in a garden",
    "a photo of a fox in {town}",
    "a photo of a owl in the snow",
    "a photo of a owl in a garden",
    "a photo of a owl in {town}",
    "a fox, and another fox",
    "a owl, and another owl",
]


def texts(tmp_path: Path, **arguments: Any) -> list[str]:
    """Run the component, and return its prompts."""
    table = run_component(COMPONENT, None, tmp_path, **arguments).table
    assert table["id"].to_pylist() == [f"{row:012d}" for row in range(len(table))]
    found: list[str] = table["text"].to_pylist()
    return found


@pytest.fixture
def animals(tmp_path: Path) -> str:
    """A file of another domain."""
    file = tmp_path / "animals.yaml"
    file.write_text(ANIMALS)
    return str(file)


def test_interior_design_is_the_default(tmp_path: Path) -> None:
    """Without arguments come all combinations of mood, room and style, each once."""
    found = texts(tmp_path)

    assert len(found) == len(set(found)) == 3 * 29 * 23
    assert found[0] == "comfortable attic, art deco interior design"
    assert "luxurious kitchen, Scandinavian interior design" in found


def test_another_domain_is_another_file(tmp_path: Path, animals: str) -> None:
    """All templates are filled with all their words, and words are not templates themselves."""
    assert texts(tmp_path, prompts=animals) == ALL_ANIMALS


def test_samples_are_the_same_each_time(tmp_path: Path) -> None:
    """A seed draws the same prompts each time, in order, and another seed draws others."""
    first = texts(tmp_path / "a", n_rows_to_load=20)
    again = texts(tmp_path / "b", n_rows_to_load=20)
    other = texts(tmp_path / "c", n_rows_to_load=20, seed=1)
    whole = texts(tmp_path / "d")

    assert first == again
    assert len(set(first)) == 20
    assert set(first) != set(other)
    assert [prompt for prompt in whole if prompt in first] == first


def test_more_than_there_are(tmp_path: Path, animals: str) -> None:
    """Asking for more prompts than there are gives all."""
    assert texts(tmp_path, prompts=animals, n_rows_to_load=1000) == ALL_ANIMALS


def test_the_words_come_along(tmp_path: Path, animals: str) -> None:
    """The words of a prompt are columns when the step names their lists."""
    options = {"produces": '{"animal": "string", "place": "string"}'}

    table = run_component(COMPONENT, None, tmp_path, prompts=animals, options=options).table

    assert table["animal"].to_pylist() == ["fox"] * 3 + ["owl"] * 3 + ["fox", "owl"]
    assert table["place"].to_pylist()[5:] == ["{town}", None, None]


def test_a_list_that_is_not_there(tmp_path: Path, animals: str) -> None:
    """A column of which there is no list is refused."""
    with pytest.raises(InvalidArgumentError) as error:
        run_component(
            COMPONENT, None, tmp_path, prompts=animals, options={"produces": '{"animl": "string"}'}
        )

    assert str(error.value) == (
        "produces: there is no list 'animl'; did you mean 'animal'? Known: animal, place."
    )


def test_no_prompts_are_none(tmp_path: Path) -> None:
    """Zero prompts are refused."""
    with pytest.raises(InvalidArgumentError, match="'n_rows_to_load' must be at least 1, not 0"):
        texts(tmp_path, n_rows_to_load=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "needs the keys `templates` and `lists`, and no others."),
        ("templates: [a]", "needs the keys `templates` and `lists`, and no others."),
        (
            "{templates: [a], lists: {}, rooms: []}",
            "needs the keys `templates` and `lists`, and no others.",
        ),
        ("{templates: [], lists: {}}", "`templates` must be a list of texts that is not empty."),
        ("{templates: [a], lists: []}", "`lists` must map names to lists of words."),
        ("{templates: [a], lists: {x: y}}", "`lists.x` must be a list of texts that is not empty."),
        (
            "{templates: [a], lists: {x: [1]}}",
            "`lists.x` holds 1, which is no text; put it in quotes.",
        ),
        (
            "{templates: [a], lists: {x: [no]}}",
            "`lists.x` holds False, which is no text; put it in quotes.",
        ),
        ("{templates: [a], lists: {x: [b, b]}}", "`lists.x` holds 'b' twice."),
        (
            "{templates: ['{rom}'], lists: {room: [b]}}",
            "template '{rom}': there is no list 'rom'; did you mean 'room'?",
        ),
        (
            "{templates: ['{x.__class__}'], lists: {x: [b]}}",
            "template '{x.__class__}': braces may hold only the name of a list.",
        ),
        (
            "{templates: ['{x'], lists: {x: [b]}}",
            "template '{x': braces may hold only the name of a list.",
        ),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """What is no list of templates and words is an error, with where."""
    file = tmp_path / "prompts.yaml"
    file.write_text(content)

    with pytest.raises(InputDataError) as error:
        read_prompts(file)

    assert str(error.value) == f"{file}: {message}"


@pytest.mark.parametrize("content", ["{", "!!python/object/apply:os.system ['true']"])
def test_yaml_that_is_none(tmp_path: Path, content: str) -> None:
    """Broken YAML, and YAML that would run something, is not read."""
    file = tmp_path / "prompts.yaml"
    file.write_text(content)

    with pytest.raises(InputDataError, match=r"prompts: cannot read .*prompts.yaml"):
        read_prompts(file)


def test_the_prompt_of_a_class_is_one_row_that_says_so(tmp_path: Path) -> None:
    """It is the text to search by, and the field by which what is found is called."""
    options = {"produces": '{"class_prompt": "string"}'}
    result = run_component(COMPONENT, None, tmp_path, class_prompt="a dog", options=options)
    (row,) = result.table.to_pylist()
    assert (row["text"], row["class_prompt"]) == ("a dog", "a dog")


def test_a_class_beside_prompts_is_refused(tmp_path: Path, animals: str) -> None:
    """A step makes prompts of one kind."""
    with pytest.raises(InvalidArgumentError, match="give a text, and no prompts beside it"):
        texts(tmp_path, class_prompt="a dog", prompts=animals)


def test_one_prompt_says_what_it_is_mixed_into(tmp_path):
    """It comes with the fields that mix_embeddings reads, which the step has to produce."""
    given = {"text": "a drawing", "mix": "*", "weight": -0.5}
    options = {"produces": '{"mix": "string", "weight": "float32"}'}
    result = run_component(COMPONENT, None, tmp_path / "a", options=options, **given)
    (row,) = result.table.to_pylist()
    assert row == {"id": "000000000000", **given}
    with pytest.raises(InvalidArgumentError, match="mix: have the step produce the field"):
        run_component(COMPONENT, None, tmp_path / "b", **given)
    with pytest.raises(InvalidArgumentError, match="text: give a text, and no prompts or cl"):
        run_component(COMPONENT, None, tmp_path / "c", text=" ")
