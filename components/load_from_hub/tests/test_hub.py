"""`load_from_hub` against a server on this machine that speaks the hub's protocol."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.exit_codes import EXIT_TEMPORARY
from fondant_spec.testing import read_rejects, read_table
from tests.hub_server import COMMIT, HubServer, running_hub

MAIN = Path(__file__).parents[1] / "src" / "main.py"
REFUSALS = {
    "owner/gated": (403, "GatedRepo"),
    "owner/none": (401, "RepoNotFound"),
}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """Run a hub for the length of a test."""
    (tmp_path / "repository").mkdir()
    with running_hub(tmp_path / "repository") as server:
        server.refusals = REFUSALS
        yield server


def photo(colour: str) -> bytes:
    """Return a small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def load(hub: HubServer, *words: str, offline: str = "0") -> subprocess.CompletedProcess[str]:
    """Run the component as a program that takes `hub` for the hub."""
    folder = hub.root.parent
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": offline,
        "HF_TOKEN": "hf_secret",
    }
    argv = [sys.executable, str(MAIN), "--base_path", str(folder / "base"), *words]
    argv += ["--output_manifest_path", str(folder / "manifest")]
    return subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)


def manifest_of(hub: HubServer) -> Manifest:
    """Return what the program committed."""
    return Manifest.read((hub.root.parent / "manifest").read_text())


def test_parquet_is_streamed_at_one_commit(hub):
    """A tag is resolved once; files are asked for at that commit, with the token of HF_TOKEN."""
    (hub.root / "data").mkdir()
    table = pa.table({"image": [photo("red"), photo("blue")], "text": ["red", "blue"]})
    pq.write_table(table, hub.root / "data" / "train-00000-of-00001.parquet")
    words = ["--dataset_name", "owner/photos", "--revision", "v1"]
    done = load(hub, *words, "--produces", '{"text": "string"}')
    assert done.returncode == 0, done.stderr
    manifest = manifest_of(hub)
    rows = read_table(manifest)
    assert rows["image"].to_pylist() == [photo("red"), photo("blue")]
    assert rows["text"].to_pylist() == ["red", "blue"]
    assert manifest.fields["image"].metadata["revision"] == COMMIT
    assert "hf_secret" not in json.dumps(manifest.to_dict()) + done.stderr
    asked = [path for path, _ in hub.requests if "/resolve/" in path or "/tree/" in path]
    assert asked
    assert all(f"/{COMMIT}" in path for path in asked)
    assert "HTTP Request" not in done.stderr
    assert ("/api/datasets/owner/photos/revision/v1", "Bearer hf_secret") in hub.requests


def test_image_files_are_fetched_from_the_repository(hub):
    """An imagefolder on the hub comes with its captions; what is no image is a reject."""
    (hub.root / "train").mkdir()
    lines = [{"file_name": f"{name}.png", "text": name} for name in ("red", "blue", "gone")]
    (hub.root / "train" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (hub.root / "train" / "red.png").write_bytes(photo("red"))
    (hub.root / "train" / "blue.png").write_bytes(b"<html>")
    done = load(hub, "--dataset_name", "owner/photos", "--max_reject_share", "1")
    assert done.returncode == 0, done.stderr
    manifest = manifest_of(hub)
    assert read_table(manifest)["image"].to_pylist() == [photo("red")]
    assert read_rejects(manifest)["reason"].to_pylist() == ["not_an_image", "file_not_found"]


def test_no_image_of_a_repository_is_lost_by_its_name(hub):
    """Names of images tell no split on the hub either; files without an image's suffix are left."""
    (hub.root / "a").mkdir()
    names = ["a/eval.png", "b-testing.png", "one.png", "train_station.png", "val 3.png"]
    for name in names:
        (hub.root / name).write_bytes(photo("red"))
    (hub.root / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# Photos\n")
    done = load(hub, "--dataset_name", "owner/photos")
    assert done.returncode == 0, done.stderr
    assert read_table(manifest_of(hub))["file_name"].to_pylist() == names


def test_texts_of_a_repository_are_those_of_its_files(hub):
    """CSV on the hub is read as CSV on this machine: `NA` and `0.10` are texts."""
    (hub.root / "train.csv").write_text("text\nNA\n0.10\nNone\n007\n")
    words = ["--dataset_name", "owner/photos", "--image_column", ""]
    done = load(hub, *words, "--produces", '{"text": "string"}')
    assert done.returncode == 0, done.stderr
    assert read_table(manifest_of(hub))["text"].to_pylist() == ["NA", "0.10", "None", "007"]


@pytest.mark.parametrize(
    "path", ["../../other/x.csv", "http://127.0.0.1:{port}/x.csv", "/etc/passwd"]
)
def test_a_repository_that_names_other_files_is_refused(hub, path):
    """What its README names elsewhere is not asked for, and not read."""
    path = path.format(port=hub.server_port)
    (hub.root / "x.csv").write_text("text\nmine\n")
    readme = f"---\nconfigs:\n- config_name: default\n  data_files: {path}\n---\n"
    (hub.root / "README.md").write_text(readme)
    done = load(hub, "--dataset_name", "owner/photos", "--image_column", "")
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"error: owner/photos: its README names {path!r}, which is not below")
    assert not [
        asked for asked, _ in hub.requests if asked.endswith("/x.csv") and "resolve" not in asked
    ]


NOT_HERE = "there is no such folder or file here; on the hub: "


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("owner/photos", "v9", "the dataset has no such revision; give a branch, tag or commit"),
        ("owner/gated", "main", "the dataset is gated; accept its terms on the hub, and set HF_"),
        ("owner/none", "main", f"{NOT_HERE}no such dataset on the hub, or a private one; check"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(hub, name, revision, message):
    """A gated or unknown dataset, or revision, ends the program with 1 and says what to do."""
    done = load(hub, "--dataset_name", name, "--revision", revision)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {name}: {message}")
    assert "Traceback" not in done.stderr


def test_a_hub_that_cannot_be_reached_is_one_clear_line(hub):
    """With nobody at the other end, the program says so, and that it may pass by itself."""
    hub.server_close()
    done = load(hub, "--dataset_name", "owner/photos")
    assert done.returncode == EXIT_TEMPORARY
    expected = f"error: owner/photos: {NOT_HERE}cannot be read: [Errno 111] Connection refused"
    assert done.stderr.splitlines()[-1] == expected


def test_a_branch_that_moved_is_no_hit(hub):
    """A dataset without a revision is loaded again when its branch moved, and only then."""
    (hub.root / "data").mkdir()
    file = hub.root / "data" / "train-00000-of-00001.parquet"
    words = ["--dataset_name", "owner/photos"]
    pq.write_table(pa.table({"image": [photo("red")]}), file)
    assert load(hub, *words).returncode == 0
    first = manifest_of(hub)
    hub.commit = "decaf0" * 6 + "deca"
    pq.write_table(pa.table({"image": [photo("red"), photo("blue")]}), file)
    assert load(hub, *words).returncode == 0
    moved = manifest_of(hub)
    assert (first.rows, moved.rows) == (1, 2)
    assert moved.fields["image"].metadata["revision"] == hub.commit
    done = load(hub, *words, offline="1")
    assert "already done, 2 rows" in done.stderr
    assert (
        "WARNING dataset owner/photos at main is not looked up on the hub (HF_HUB_OFFLINE is set): "
        "taken as decaf0decaf0, as last seen.\n"
    ) in done.stderr
