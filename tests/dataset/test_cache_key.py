"""Cache keys: what they depend on, and what they do not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.dataset.cache_key import cache_key, code_digest, key_parts
from fondant_spec.spec.component_spec import ComponentSpec
from tests.small import COMPONENTS


def key(spec=None, inputs=("aa",), mappings=None, rows=None, **arguments):
    """Return the key of a step with the small component `double`."""
    spec = spec or ComponentSpec.from_file(COMPONENTS / "double")
    values = {"factor": 2, "reject_odd": False, "lexicon": ""} | arguments
    mappings = {"consumes": {}, "produces": {}} | (mappings or {})
    return cache_key(
        key_parts(spec, values, **mappings, input_keys=list(inputs), rows_per_partition=rows)
    )


@pytest.fixture
def component(tmp_path):
    """Return a copy of a component, to be changed."""
    return Path(shutil.copytree(COMPONENTS / "double", tmp_path / "double"))


def test_a_key_is_short_and_stable():
    """A key is 16 hexadecimal digits, and the same each time."""
    assert key() == key()
    assert len(key()) == 16
    assert int(key(), 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"factor": 3},
        {"reject_odd": True},
        {"inputs": ("bb",)},
        {"inputs": ("aa", "bb")},
        {"mappings": {"consumes": {"number": "n"}, "produces": {}}},
        {"mappings": {"consumes": {}, "produces": {"double": "d"}}},
    ],
)
def test_what_the_result_depends_on(change):
    """Arguments, field mappings and inputs each make another key."""
    assert key(**change) != key()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "src" / "main.py").open("a").write("# more\n"),
        lambda folder: (folder / "src" / "helper.py").write_text("X = 1\n"),
        lambda folder: (folder / "requirements.txt").write_text("numpy\n"),
        lambda folder: (folder / "fondant_component.yaml").open("a").write("tags: [a]\n"),
    ],
)
def test_code_is_part_of_the_key(component, change):
    """A change to the code, its requirements or its spec makes another key."""
    before = key(ComponentSpec.from_file(component))
    change(component)
    assert key(ComponentSpec.from_file(component)) != before


def test_what_is_no_code_is_not(component):
    """Compiled files, a README and the place of the folder make no difference."""
    before = key(ComponentSpec.from_file(component))
    (component / "src" / "__pycache__").mkdir()
    (component / "src" / "__pycache__" / "main.pyc").write_bytes(b"x")
    (component / "README.md").write_text("words", encoding="utf-8")
    moved = shutil.move(component, component.with_name("elsewhere"))
    assert key(ComponentSpec.from_file(moved)) == before


def test_without_code_the_image_stands_for_it(tmp_path):
    """A component that is only an image is told by the image."""
    file = tmp_path / "fondant_component.yaml"
    shutil.copy(COMPONENTS / "double" / "fondant_component.yaml", file)
    spec = ComponentSpec.from_file(file)
    assert code_digest(spec) == "image:fondant/double:dev"
    assert key(replace(spec, image="fondant/double:1")) != key(spec)


def test_the_content_of_a_named_file_counts(tmp_path):
    """Of an argument that is a path, what lies there counts and not where that is."""
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("words", encoding="utf-8")
    two.write_text("words", encoding="utf-8")
    assert key(lexicon=str(one)) == key(lexicon=str(two))
    two.write_text("other", encoding="utf-8")
    assert key(lexicon=str(one)) != key(lexicon=str(two))
    assert key(lexicon="user/model") == key(lexicon="user/model") != key(lexicon="user/other")


def test_the_content_of_a_named_folder_counts(tmp_path):
    """Of a folder, names and contents count, however deep."""
    (tmp_path / "a" / "deep").mkdir(parents=True)
    file = tmp_path / "a" / "deep" / "x"
    file.write_bytes(b"1")
    before = key(lexicon=str(tmp_path / "a"))
    file.write_bytes(b"2")
    assert key(lexicon=str(tmp_path / "a")) != before
    file.write_bytes(b"1")
    assert key(lexicon=str(tmp_path / "a")) == before
    file.rename(file.with_name("y"))
    assert key(lexicon=str(tmp_path / "a")) != before


def test_large_files_are_told_apart(tmp_path):
    """Of a huge file the size, the beginning and the end count, so that it need not be read."""
    file = tmp_path / "index"
    keys = set()
    for start, end in [(b"a", b"a"), (b"b", b"a"), (b"a", b"b")]:
        with file.open("wb") as content:
            content.write(start)
            content.seek(70 << 20)
            content.write(end)
        keys.add(key(lexicon=str(file)))
    assert len(keys) == 3


def test_types_in_mappings():
    """A type counts the same whether it is an Arrow type or its name."""
    spec = ComponentSpec.from_file(COMPONENTS / "double")
    arrow = key_parts(spec, {}, {}, {"x": pa.list_(pa.int8())}, [], None)
    named = {"x": {"type": "array", "items": {"type": "int8"}}}
    assert cache_key(arrow) == cache_key(key_parts(spec, {}, {}, named, [], None))
    json.dumps(arrow)


def test_partitions_count_where_the_step_makes_them():
    """Other partitions are another result, whose rows are the same."""
    assert len({key(rows=None), key(rows=1000), key(rows=10)}) == 3


def test_a_pattern_stands_for_the_files_it_matches(tmp_path):
    """A file that is added, removed or changed counts; one that does not match does not."""
    (tmp_path / "a.csv").write_text("1")
    keys = [key(lexicon=f"{tmp_path}/*.csv")]
    (tmp_path / "b.txt").write_text("1")
    assert key(lexicon=f"{tmp_path}/*.csv") == keys[0]
    (tmp_path / "b.csv").write_text("1")
    keys.append(key(lexicon=f"{tmp_path}/*.csv"))
    (tmp_path / "b.csv").write_text("2")
    keys.append(key(lexicon=f"{tmp_path}/*.csv"))
    assert len(set(keys)) == 3


def test_a_path_is_no_pattern(tmp_path):
    """A folder that is there is meant, whatever characters it has."""
    folder = tmp_path / "photos [set 1]"
    folder.mkdir()
    (folder / "a").write_text("1")
    before = key(lexicon=str(folder))
    (folder / "a").write_text("2")
    assert key(lexicon=str(folder)) != before


@pytest.mark.parametrize(
    ("component", "name", "counts"),
    [
        ("caption_images", "batch_size", False),
        ("caption_images", "device", False),
        ("caption_images", "precision", True),
        ("download_images", "timeout", False),
        ("download_images", "n_connections", False),
        ("download_images", "quality", True),
    ],
)
def test_arguments_that_cannot_change_a_result(component, name, counts):
    """How fast, where and in how large pieces is no part of a result; what and how well is."""
    spec = ComponentSpec.from_file(COMPONENTS.parents[1] / "components" / component)
    assert spec.arguments[name].affects_result == counts
    keys = {
        cache_key(key_parts(spec, {name: value}, {}, {}, [], None)) for value in ("some", "other")
    }
    assert len(keys) == (2 if counts else 1)
