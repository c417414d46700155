"""Paths with every character found in people's folders: all steps take them literally."""

import json
import string
from pathlib import Path

import pytest

from fondant_spec.dataset import storage
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.validate import validate
from fondant_spec.errors import StorageError
from fondant_spec.spec.arguments import resolve, to_argv
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run
from image_toolkit.models.runtime.preparation import probe_images
from tests.tiny_models import make_model

COMPONENTS = Path(__file__).parents[1] / "components"
PUNCTUATION = string.punctuation.replace("/", "")
ODD = f"a [1]::b {PUNCTUATION} [!c] ** %41 $HOME ${{HOME}} \u00e9e\u0301 \u732b \U0001f431\t\n~"


def step(name: str, base: Path, given: Manifest | None, produces: str = "{}", **values) -> Manifest:
    """Run a component as a runner does."""
    spec = ComponentSpec.from_file(COMPONENTS / name)
    argv = ["--base_path", str(base), "--workers", "1", "--produces", produces]
    if given is not None:
        argv += ["--input_manifest_path", given.location]
    arguments = to_argv(spec.arguments, resolve(spec.arguments, values, name))
    assert spec.source is not None
    made = run(component_class(spec.source), [*argv, *arguments])
    assert made is not None
    return made


@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
def test_all_paths_are_taken_literally(tmp_path, layout, caplog):
    """Dataset, files, base path, model and output folder: from images to a checked export."""
    root = tmp_path / ODD
    photos = root / f"photos {ODD}"
    photos.mkdir(parents=True)
    lines = [{"file_name": f"{n} {ODD}.jpg", "caption": f" {n} {ODD} "} for n in range(2)]
    for line, image in zip(lines, probe_images(2), strict=True):
        image.save(photos / line["file_name"])
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    base, out = root / "base", root / "base" / f"out {ODD}"
    captions = '{"caption": "string"}'
    made = step("load_from_hub", base, None, captions, dataset_name=str(photos))
    if layout == "imagefolder":
        model = str(make_model("blip", base / "blip"))
        made = step("caption_images", base, made, model_id=model, keep_existing=True)
    exported = step("export_dataset", base, made, layout=layout, output_path=str(out))
    assert not validate(exported)
    assert (out / "export.json").is_file()
    assert "the path has '['" in caplog.text
    if layout == "imagefolder":
        written = (out / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["text"] for line in written] == [x["caption"] for x in lines]
    assert sorted(p.name for p in root.iterdir()) == sorted(["base", photos.name])


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("/data/a://b", False),
        ("/data/zip::x", False),
        ("file:///data", False),
        ("s3://bucket/a b", True),
        ("simplecache::s3://bucket", True),
    ],
)
def test_a_path_that_begins_as_one_is_local(path, remote):
    """What looks like a URL further on is part of a name."""
    assert storage.is_remote(path) is remote


def test_a_path_that_is_no_text_is_refused():
    """Bytes that are no UTF-8 are refused at once: no manifest could hold the path."""
    with pytest.raises(StorageError, match="has bytes that are no UTF-8; rename the folder"):
        storage.normalize("/data/\udcff")
