"""Cache keys: what they depend on, and what they do not."""

import json
import logging
import os
import re
from dataclasses import replace

import pyarrow as pa
import pytest

from fondant_spec.dataset.cache_key import cache_key, key_parts
from fondant_spec.dataset.hub_revisions import _commit
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


def test_a_key_is_short_and_stable():
    """A key is 16 hexadecimal digits, and the same each time."""
    assert key() == key()
    assert re.fullmatch(r"[0-9a-f]{16}", key())


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


def test_the_code_is_part_of_a_key():
    """Other code has another key, whatever else is the same."""
    spec = ComponentSpec.from_file(COMPONENTS / "double")
    assert key(replace(spec, path=None)) != key(spec)


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
        os.utime(file, ns=(0, 0))
        keys.add(key(lexicon=str(file)))
    assert len(keys) == 3


@pytest.mark.parametrize("below", ["", "folder", "*.jsonl"])
def test_an_edit_in_the_middle_of_a_large_file_counts(tmp_path, below):
    """Of the same length too: alone, in a folder or by a pattern; unchanged, its key stays."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "rows.jsonl"
    with file.open("wb") as content:
        content.truncate(70 << 20)
    os.utime(file, ns=(0, 0))  # clocks of file systems are coarse
    named = {"": file, "folder": file.parent, "*.jsonl": file.parent / below}[below]
    before = key(lexicon=str(named))
    assert key(lexicon=str(named)) == before
    with file.open("r+b") as content:
        content.seek(35 << 20)
        content.write(b"edited")
    assert key(lexicon=str(named)) != before


def test_the_time_of_a_file_that_is_read_whole_does_not_count(tmp_path):
    """A small file is its content, so that a copy of it is a hit."""
    file = tmp_path / "words.txt"
    file.write_text("words", encoding="utf-8")
    before = key(lexicon=str(file))
    os.utime(file, ns=(0, 0))
    assert key(lexicon=str(file)) == before


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


def test_brackets_of_a_folder_are_no_wildcards(tmp_path):
    """What else a path has wildcards for is found below a folder with brackets in its name."""
    folder = tmp_path / "rows [set 1]"
    folder.mkdir()
    keys = set()
    for content in "12":
        (folder / "a.csv").write_text(content)
        keys.add(key(lexicon=f"{folder}/*.csv"))
    assert len(keys) == 2


def test_a_path_is_no_pattern(tmp_path):
    """A folder that is there is meant, whatever characters it has."""
    folder = tmp_path / "photos [set 1]"
    folder.mkdir()
    (folder / "a").write_text("1")
    (folder / os.fsdecode(b"no text \xff")).touch()
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


@pytest.mark.parametrize(
    ("produced", "name", "counts"),
    [
        ("blur", "labels", False),
        ("class", "labels", True),
        ("class", "aesthetic_head", False),
        ("aesthetic_score", "aesthetic_head", True),
    ],
)
def test_arguments_that_are_needed_for_other_fields(produced, name, counts):
    """They are no part of the key of a step that produces none of these."""
    spec = ComponentSpec.from_file(COMPONENTS.parents[1] / "components" / "score_images")
    keys = {
        cache_key(key_parts(spec, {name: value}, {}, {produced: pa.string()}, [], None))
        for value in ("some", "other")
    }
    assert len(keys) == (2 if counts else 1)


@pytest.mark.parametrize(("produced", "told"), [("blur", 0), ("clip_score", 1)])
def test_a_model_that_is_not_needed_is_not_looked_up(produced, told, caplog, monkeypatch):
    """So nobody is warned of a hub that cannot be reached for nothing."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _commit.cache_clear()
    spec = ComponentSpec.from_file(COMPONENTS.parents[1] / "components" / "score_images")
    arguments = {name: one.default for name, one in spec.arguments.items()}
    with caplog.at_level(logging.WARNING):
        key_parts(spec, arguments, {}, {produced: pa.float32()}, [], None)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("openai/clip-vit-large-patch14" in line for line in lines) == told


def test_what_lies_behind_a_link_counts(tmp_path):
    """A linked folder is read by those that are asked to, so its content is part of the key."""
    folder, real = tmp_path / "folder", tmp_path / "real"
    folder.mkdir()
    real.mkdir()
    (folder / "link").symlink_to(real)
    (real / "back").symlink_to(folder)
    (real / "file").write_text("1")
    before = key(lexicon=str(folder))
    (real / "file").write_text("2")
    assert key(lexicon=str(folder)) != before
