"""A dataset that somebody sent reaches nothing outside of it, unless that is asked for."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fondant_spec.cli import main
from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.errors import FondantError
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run
from tests.small import COMPONENTS, dataset


@pytest.fixture(autouse=True)
def _trusts_nothing(monkeypatch):
    monkeypatch.setenv(TRUSTED, "")


@pytest.fixture
def asked():
    """Return what was asked of a server on this machine, whose address comes first."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_error(404)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.append(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield seen
    server.shutdown()
    server.server_close()


@pytest.fixture
def received(tmp_path):
    """Return the folder of a received dataset, beside which a private one lies."""
    private = dataset(tmp_path / "private", number=[4711])
    made = dataset(tmp_path / "received", number=[1, 2])
    shutil.copy(Path(private.data_location) / "part-00000.parquet", tmp_path / "part-00000.parquet")
    return Path(made.folder)


def change(folder, **values):
    """Change what a manifest says; `a__b` stands for a key in an object."""
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    for path, value in values.items():
        *outer, last = path.split("__")
        inside = content
        for key in outer:
            inside = inside[int(key) if isinstance(inside, list) else key]
        inside[last] = value
    file.write_text(json.dumps(content))


def link_out(folder, name):
    """Put a link to the private folder or file in place of one of the dataset."""
    place = folder / name
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    private = folder.parents[3] / "private/pipeline/given/0000000000000000"
    place.symlink_to(private / name)


def pipe(folder, name):
    """Put a pipe, which nobody writes to, in place of a file."""
    (folder / name).unlink()
    os.mkfifo(folder / name)


ATTACKS = {
    "field elsewhere": lambda f, p, _: change(f, fields__number__location=p),
    "index elsewhere": lambda f, p, _: change(f, index__location=p),
    "up and away": lambda f, _p, _: change(
        f, fields__number__location=f"{f}/../../../../private/pipeline/given/0000000000000000/data"
    ),
    "file URL": lambda f, p, _: change(f, index__location=f"file://{p}"),
    "http": lambda f, _, url: change(f, index__location=f"{url}/data"),
    "chained": lambda f, _, url: change(f, index__location=f"simplecache::{url}/data"),
    "input": lambda f, _, url: change(f, inputs=[{"location": f"{url}/m.json", "digest": ""}]),
    "partition": lambda f, _p, _: change(f, partitions__0__name="../../../../../part-00000"),
    "folder link": lambda f, _p, _: link_out(f, "data"),
    "file link": lambda f, _p, _: link_out(f, "data/part-00000.parquet"),
    "pipe": lambda f, _p, _: pipe(f, "data/part-00000.parquet"),
    "manifest pipe": lambda f, _p, _: pipe(f, "manifest.json"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_manifest_reaches_nothing_else(attack, received, asked, tmp_path, capsys):
    """`show`, `validate` and a step that reads it refuse what lies elsewhere, and ask nobody."""
    private = tmp_path / "private/pipeline/given/0000000000000000/data"
    ATTACKS[attack](received, str(private), asked[0])
    for words in (["show"], ["show", "--id", "000000000000"], ["validate"]):
        assert main([words[0], str(received), *words[1:]]) in (1, 2)
        said = capsys.readouterr()
        assert "This is a defect" not in said.err
        assert "4711" not in said.out + said.err
    lines = component_class(COMPONENTS / "write_lines")
    with pytest.raises(FondantError):
        run(lines, ["--base_path", str(tmp_path / "base"), "--input_manifest_path", str(received)])
    assert not any("4711" in f.read_text() for f in tmp_path.glob("base/**/lines.jsonl"))
    assert len(asked) == 1


def test_a_flat_folder_does_not_widen_the_reach(received, tmp_path, capsys):
    """A manifest that names the folders above it for its pipeline and step gains nothing."""
    flat = tmp_path / "0000000000000000"
    shutil.copytree(received, flat)
    names = {"dataset_name": tmp_path.parent.name, "component_id": tmp_path.name}
    change(flat, metadata={**json.loads((flat / "manifest.json").read_text())["metadata"], **names})
    change(flat, fields__number__location=str(tmp_path / "private/pipeline/given/0/data"))
    assert main(["validate", str(flat)]) == 1
    assert f"lies outside of {flat}, and is not read" in capsys.readouterr().err


def test_what_a_step_wrote_elsewhere_is_looked_at_when_asked(received, asked, tmp_path, capsys):
    """An artifact is neither read nor requested; `--trust` names where it may lie."""
    artifact = tmp_path / "lines.jsonl"
    artifact.write_text("{}\n")
    change(received, artifacts=[str(artifact)])
    assert main(["validate", str(received)]) == 1
    assert f"error: {artifact} lies outside of {received}, " in capsys.readouterr().err
    assert main(["validate", str(received), "--trust", str(tmp_path)]) == 0
    change(received, artifacts=[f"{asked[0]}/x"], artifact_sha256={f"{asked[0]}/y": ""})
    assert main(["validate", str(received)]) == 1
    assert len(asked) == 1


def test_a_place_that_is_trusted_is_read(received, tmp_path, monkeypatch, capsys):
    """The variable lists folders; a dataset may then reach into them, also by a link."""
    link_out(received, "data")
    monkeypatch.setenv(TRUSTED, f"s3://bucket/x, {tmp_path / 'private'}")
    assert main(["show", str(received), "--id", "000000000000"]) == 0
    assert "number: 4711" in capsys.readouterr().out


def test_a_strict_umask_holds(tmp_path):
    """Nothing that a run writes is opened wider than the user's umask says."""
    made = dataset(tmp_path / "given", number=[1, 2, 4])
    before = os.umask(0o077)
    try:
        words = ["--base_path", str(tmp_path / "base"), "--input_manifest_path", made.location]
        run(component_class(COMPONENTS / "double"), [*words, "--reject_odd", "true"])
        run(component_class(COMPONENTS / "write_lines"), words)
    finally:
        os.umask(before)
    written = [*(tmp_path / "base").rglob("*")]
    assert len(written) > 12
    assert [path for path in written if path.stat().st_mode & 0o077] == []
