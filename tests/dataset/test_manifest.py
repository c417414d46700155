"""The manifest: its content, its readers, and what makes it invalid."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.dataset.manifest import Field, Input, Manifest, Partition
from fondant_spec.dataset.resolution import join_fields
from fondant_spec.errors import InvalidManifestError, InvalidPipelineError
from tests.small import dataset, rows


def a_manifest(base: str, **changes: object) -> Manifest:
    """Return a manifest with something in every place."""
    folder = f"{base}/pipe/embed/0123"
    Path(base, "pipe", "runs").mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        pipeline_name="pipe",
        step_id="embed",
        run_id="run-1",
        cache_key="0123",
        location=f"{folder}/manifest.json",
        index_location=f"{folder}/data",
        fields={
            "image": Field("image", pa.binary(), f"{base}/pipe/load/4567/data"),
            "vector": Field("vector", pa.list_(pa.float32(), 4), f"{folder}/data", {"model": "m"}),
        },
        partitions=(Partition("part-00000", 2, 100, "ab", "a", "b"),),
        inputs=(Input(f"{base}/pipe/load/4567/manifest.json", "cd"),),
        parent_field="seed",
        component={"name": "Embed"},
        key_parts={"code": "x"},
        rows_in=3,
        rejects={"broken": 1},
        failed=1,
        seconds=0.5,
        artifacts=(f"{folder}/output/a.txt",),
    )
    return replace(manifest, **changes)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    """Nothing is lost on the way to disk and back."""
    manifest = a_manifest(str(tmp_path))
    manifest.write()
    assert Manifest.read(manifest.location) == manifest
    assert Manifest.read(manifest.folder) == manifest
    assert (manifest.rows, [f.name for f in manifest.own_fields]) == (2, ["vector"])


def test_fondant_reads_it(tmp_path):
    """What Fondant 0.12's schema and reader ask of a manifest is there.

    Its schema requires `metadata` with `dataset_name` and `run_id`, and `fields` with a `type` and
    a `location` that has a slash; its reader takes `metadata` as keyword arguments, and looks for
    `index.location`.
    """
    content = a_manifest(str(tmp_path)).to_dict()
    known = {"dataset_name", "run_id", "component_id", "cache_key", "manifest_location"}
    assert set(content["metadata"]) == known
    assert all(isinstance(value, str) for value in content["metadata"].values())
    assert isinstance(content["index"]["location"], str)
    for field in content["fields"].values():
        assert isinstance(field["type"], str)
        assert re.search("/.*", field["location"])
    assert content["fields"]["vector"]["items"] == {"type": "float32"}
    json.dumps(content)


def test_a_moved_dataset_is_found_again(tmp_path):
    """A base path that was copied as a whole is read where it now lies."""
    made = dataset(tmp_path / "here", number=[1, 2, 3])
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Manifest.read(made.location.replace("/here/", "/there/"))
    assert moved.index_location == str(tmp_path / "there/pipeline/given/0000000000000000/data")
    assert [row["number"] for row in rows(moved)] == [1, 2, 3]
    assert moved.digest == made.digest


def test_every_location_moves(tmp_path):
    """Fields of earlier steps, inputs and artifacts move with the base path; others stay."""
    made = a_manifest(str(tmp_path / "a"))
    made = replace(made, artifacts=(*made.artifacts, "s3://elsewhere/b.txt"))
    made.write()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = Manifest.read(f"{tmp_path}/b/pipe/embed/0123")
    expected = a_manifest(str(tmp_path / "b"))
    expected = replace(expected, artifacts=(*expected.artifacts, "s3://elsewhere/b.txt"))
    assert moved == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("fields"), "not a manifest: the key 'fields' is missing."),
        (
            lambda c: c["metadata"].pop("cache_key"),
            "not a manifest: the key 'cache_key' is missing.",
        ),
        (
            lambda c: c.update(version=99),
            (
                "not a manifest that can be read: it has version 99, newer than 1; "
                "upgrade fondant-spec."
            ),
        ),
        (
            lambda c: c["fields"]["vector"].update(type="vec"),
            "not a manifest that can be read: vector: unknown type 'vec'.",
        ),
        (lambda c: c.update(partitions=3), "not a manifest that can be read: "),
        (lambda c: c["partitions"][0].update(more=1), "not a manifest that can be read: "),
    ],
)
def test_bad_manifests(tmp_path, change, message):
    """A manifest that lacks something, or says what cannot be, is refused by its path."""
    manifest = a_manifest(str(tmp_path))
    content = manifest.to_dict()
    change(content)
    Path(manifest.folder).mkdir(parents=True)
    Path(manifest.location).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InvalidManifestError) as caught:
        Manifest.read(manifest.location)
    assert str(caught.value).startswith(f"{manifest.location}: {message}")


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '"text"'])
def test_what_is_no_manifest(tmp_path, content):
    """Any other file is refused, not misread."""
    file = tmp_path / "manifest.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidManifestError, match=f"^{file}: not a manifest"):
        Manifest.read(str(tmp_path))


def test_no_manifest(tmp_path):
    """A folder without one is an error that names the file."""
    with pytest.raises(InvalidManifestError, match=f"^{tmp_path}/manifest.json: there is no "):
        Manifest.read(str(tmp_path))


def test_the_digest_follows_the_content(tmp_path):
    """The digest changes with those of the partitions, and only then."""
    manifest = a_manifest(str(tmp_path))
    other_file = replace(manifest.partitions[0], digest="ff")
    assert replace(manifest, run_id="run-2", seconds=9.0).digest == manifest.digest
    assert replace(manifest, partitions=(other_file,)).digest != manifest.digest


def test_branches_are_joined(tmp_path):
    """The fields of all branches stand side by side."""
    left = a_manifest(str(tmp_path))
    caption = Field("caption", pa.string(), f"{tmp_path}/pipe/caption/89/data")
    right = {"image": left.fields["image"], "caption": caption}
    joined = join_fields({"embed": left.fields, "caption": right}, "step")
    assert list(joined) == ["image", "vector", "caption"]


def test_branches_that_do_not_fit(tmp_path):
    """One name for two fields cannot be joined."""
    left = a_manifest(str(tmp_path))
    vector = Field("vector", pa.binary(), "/elsewhere/data")
    with pytest.raises(InvalidPipelineError) as caught:
        join_fields({"embed": left.fields, "other": {"vector": vector}}, "step")
    assert str(caught.value) == (
        "step: field 'vector' comes from both 'embed' and 'other'; give one of them another "
        "name with `produces`."
    )
