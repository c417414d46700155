"""A dataset from somebody else reaches nothing outside of it, unless that is allowed."""

import json
import os
import shutil
import threading
from hashlib import sha256
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
    """An artifact is neither read nor requested, but where the command line names its place."""
    artifact = tmp_path / "lines.jsonl"
    artifact.write_text("{}\n")
    change(received, artifacts=[str(artifact)], artifact_sha256={str(artifact): ""})
    assert main(["validate", str(received)]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path} lies outside of {received}, and what the step wrote there is not read. "
        f"If it is yours, name it, too: fondant-spec validate given {tmp_path}\n"
    )
    assert main(["validate", str(received), "--trust", str(tmp_path)]) == 1
    assert f"error: {artifact}: is not what the step wrote" in capsys.readouterr().err
    change(received, artifacts=[f"{asked[0]}/x"], artifact_sha256={f"{asked[0]}/y": ""})
    assert main(["validate", str(received)]) == 1
    assert len(asked) == 1


@pytest.fixture
def exported(received, tmp_path):
    """Return the folder of an export outside of the base path, which its dataset names."""
    folder = tmp_path / "my, export"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(name)
    files = {
        name: {"bytes": 5, "sha256": sha256(name.encode()).hexdigest(), "stamp": ""}
        for name in ("a.txt", "b.txt")
    }
    (folder / "export.json").write_text(json.dumps({"files": files}))
    change(received, artifacts=[str(folder / "export.json")])
    return folder


def test_an_export_is_read_since_it_is_named(received, exported, capsys):
    """Alone or beside its dataset: no more words are needed, and what was edited is told."""
    assert main(["validate", str(received)]) == 1
    assert main(["validate", str(received), str(exported)]) == 0
    assert capsys.readouterr().out == (
        f"{received}/manifest.json: 2 rows, all as the manifest says.\n"
        f"{exported}: 2 files, all as they were written.\n"
    )
    (exported / "b.txt").write_text("B.txt")
    for words in ([received, exported], [exported], [exported / "export.json"]):
        assert main(["validate", *map(str, words)]) == 1
        assert f"{exported}: is not what the step wrote: b.txt was" in capsys.readouterr().err


def private_folder(exported, private):
    """Put a folder of private files in place of the exported ones, and list one of them."""
    (exported / "b.txt").unlink()
    (exported / "b").symlink_to(private, target_is_directory=True)
    (private / "b.txt").write_text("b.txt")
    mark = exported / "export.json"
    mark.write_text(mark.read_text().replace('"b.txt"', '"b/b.txt"'))


def private_file(exported, private):
    """Put a link to a private file in place of an exported one."""
    (exported / "b.txt").unlink()
    (private / "b.txt").write_text("b.txt")
    (exported / "b.txt").symlink_to(private / "b.txt")


def private_name(exported, private):
    """List a private file."""
    (private / "b.txt").write_text("b.txt")
    mark = exported / "export.json"
    mark.write_text(mark.read_text().replace('"b.txt"', '"../private/b.txt"'))


def private_mark(exported, private):
    """Have the list itself lie elsewhere."""
    (exported / "export.json").rename(private / "export.json")
    (exported / "export.json").symlink_to(private / "export.json")


@pytest.mark.parametrize("attack", [private_folder, private_file, private_name, private_mark])
def test_an_export_that_is_named_leads_nowhere_else(attack, exported, tmp_path, capsys):
    """What its list and its links name elsewhere is not read, were it just as the list says."""
    attack(exported, tmp_path / "private")
    assert main(["validate", str(exported)]) == 1
    assert "as they were written" not in capsys.readouterr().out


def test_a_place_with_a_comma_is_not_two(received, tmp_path, capsys):
    """A folder whose name would be read as a list of folders is refused."""
    link_out(received, "data")
    assert main(["validate", str(received), "--trust", f"{tmp_path}/x,/"]) == 2
    assert "a path with a comma cannot be named there" in capsys.readouterr().err


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
