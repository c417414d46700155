"""Indexes on a hub that is a real local server: found, fetched once, and searched."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from fondant_spec.dataset.cache_key import key_parts
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.spec.component_spec import ComponentSpec
from image_toolkit.retrieval.build.index_cli import add_command, run
from image_toolkit.retrieval.build.vector_sources import open_source
from image_toolkit.retrieval.hub.find_index import fetch_embeddings, fetch_index, find_index
from image_toolkit.retrieval.hub.index_reference import IndexReference
from image_toolkit.retrieval.hub.known_indexes import KNOWN_INDEXES, full_location, known_model
from image_toolkit.retrieval.hub.locate_index import locate_index
from tests.hub_server import COMMIT, HubServer, hub_of
from tests.image_toolkit.retrieval.conftest import (
    DIMENSION,
    metadata_of,
    random_vectors,
    write_index,
)

COMPONENTS = Path(__file__).parents[4] / "components"
LOCATION = "hf://datasets/owner/photos"
ROWS = 240
VECTORS = random_vectors(ROWS)
METADATA = metadata_of(ROWS)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Run a hub that this process takes for the hub, with a cache of its own."""
    with hub_of(tmp_path, monkeypatch) as server:
        yield server


def write_parquet(folder: Path, table: pa.Table, files: int) -> None:
    """Write a table as Dask does: the numbers of the files are not padded."""
    folder.mkdir(parents=True)
    step = -(-len(table) // files)
    for number in range(files):
        pq.write_table(table.slice(number * step, step), folder / f"part.{number}.parquet")


def write_clip_retrieval(root: Path) -> None:
    """clip-retrieval's folder, its vectors beside it."""
    write_index(root, VECTORS, METADATA)


def write_fondant(root: Path) -> None:
    """Fondant's: autofaiss ranks by inner product, and the vectors are as the model gave them."""
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(VECTORS * np.random.default_rng(1).uniform(9, 12, (ROWS, 1)).astype(np.float32))
    faiss.write_index(index, str(root / "faiss"))
    write_parquet(root / "id_mapping", METADATA.select(["url"]), files=12)
    write_parquet(root / "data", METADATA.append_column("embedding", [VECTORS.tolist()]), files=2)


def write_embeddings(root: Path) -> None:
    """clip-retrieval's embeddings, without an index."""
    write_index(root, VECTORS, METADATA)
    for name in ("image.index", "indices_paths.json"):
        (root / name).unlink(missing_ok=True)


def write_vectors(root: Path) -> None:
    """Parquet files with the vectors in a column."""
    table = METADATA.append_column("embedding", [VECTORS.tolist()])
    pq.write_table(table, root / "vectors.parquet")


LAYOUTS = {
    write_clip_retrieval: {"image.index", "metadata"},
    write_fondant: {"faiss", "id_mapping"},
    write_embeddings: {"img_emb", "metadata"},
    write_vectors: {"vectors.parquet"},
}


@pytest.mark.parametrize("folder", ["", "/deep/er"])
@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__)
def test_every_layout_is_searched_by_its_name(hub, write, folder):
    """Of a repository only what is needed is fetched; each vector finds itself, with its URL."""
    root = hub.root / folder.strip("/")
    root.mkdir(parents=True, exist_ok=True)
    (hub.root / "README.md").write_text("# An index\n")
    write(root)

    index = locate_index(LOCATION + folder).open()
    hits = index.search(VECTORS, 3, columns=["url"], duplicate_threshold=None)

    best = hits.keep(hits.ranks() == 0)
    assert best.index_id.tolist() == list(range(ROWS))
    assert best.metadata["url"].to_pylist() == METADATA["url"].to_pylist()
    np.testing.assert_allclose(best.similarity, 1, atol=1e-5)
    assert index.info.location == f"{LOCATION}@{COMMIT}{folder}"
    fetched = {path.partition(f"/resolve/{COMMIT}/")[2] for path, _ in hub.requests}
    below = {name.removeprefix(folder.strip("/")).strip("/") for name in fetched if name}
    assert {name.partition("/")[0] for name in below} - {"indices_paths.json"} == LAYOUTS[write]


def test_what_was_fetched_is_not_fetched_again(hub, monkeypatch, caplog):
    """A second run fetches nothing; without a connection, what was fetched whole is taken."""
    write_fondant(hub.root)
    folder, reference = fetch_index(LOCATION)
    sent = dict(hub.sent)
    assert fetch_index(LOCATION) == (folder, reference)
    again = {name for name in hub.sent if hub.sent[name] != sent.get(name)}
    assert again == {"photos", COMMIT}  # what the repository holds, and no file of it

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_index(LOCATION) == (folder, reference)
    assert "It is taken as it was fetched last" in caplog.text

    Path(folder / "id_mapping" / "part.3.parquet").unlink()
    with pytest.raises(InputDataError, match="Nor was the index fetched whole before"):
        fetch_index(LOCATION)


def test_a_broken_line_goes_on_where_it_was(hub):
    """Of a file whose line broke half-way, only the rest is fetched."""
    write_fondant(hub.root)
    size = 24 << 20  # the hub's client keeps what it has of a file ten megabytes at a time
    (hub.root / "faiss").write_bytes(bytes(size))
    hub.breaks["faiss"] = 22 << 20
    folder, _ = fetch_index(LOCATION)
    assert (folder / "faiss").stat().st_size == size
    assert hub.sent["faiss"] == (22 << 20) + (4 << 20)


def test_a_moved_branch_is_fetched_anew(hub):
    """What a branch holds now is searched; a commit in the name stays what it is."""
    write_vectors(hub.root)
    _, before = fetch_index(LOCATION)
    hub.commit = "decaf0" * 6 + "deca"
    _, after = fetch_index(LOCATION)
    assert (before.revision, after.revision) == (COMMIT, hub.commit)


def test_the_commit_is_part_of_the_cache_key(hub):
    """A path on the hub counts as what its branch holds; one with a commit as it is written."""
    write_vectors(hub.root)
    spec = ComponentSpec.from_file(COMPONENTS / "laion_retrieval")
    for location, meant in {
        f"{LOCATION}@v1/deep": f"{LOCATION}@{COMMIT}/deep",
        f"{LOCATION}@{'d' * 40}": f"{LOCATION}@{'d' * 40}",
        "/a/path": "/a/path",
    }.items():
        parts = key_parts(spec, {"index": location}, {}, {}, [], None)
        assert parts["arguments"] == {"index": meant}


def test_too_little_disk_is_said_before_the_first_byte(hub, monkeypatch):
    """The sizes are held against the free disk, and nothing is fetched."""
    write_fondant(hub.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=500 << 20))
    with pytest.raises(InputDataError, match=r"are to be fetched, but where the hub's cache lies"):
        fetch_index(LOCATION)
    assert not any("/resolve/" in path for path, _ in hub.requests)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("hf://datasets/owner/gated", "it is gated: accept its terms on the hub"),
        ("hf://datasets/owner/none", "the hub has no such index, or it is private"),
        (f"{LOCATION}@v9", "the hub has no revision 'v9' of it"),
        (f"{LOCATION}/nowhere", "the repository has no folder 'nowhere'"),
        (LOCATION, r"is no index: it needs image.index and metadata/.*It holds: README.md"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(hub, location, message):
    """A repository that is gated, missing, of another revision, or no index."""
    (hub.root / "README.md").write_text("# Photos\n")
    with pytest.raises(InputDataError, match=message) as caught:
        fetch_index(location)
    assert "\n" not in str(caught.value)


def test_vectors_without_an_index_are_searched_while_they_are_few(hub, monkeypatch):
    """More than can be read for each query are refused, with the way to make an index of them."""
    write_vectors(hub.root)
    monkeypatch.setattr("image_toolkit.retrieval.hub.find_index.EXACT_BYTES", 1000)
    with pytest.raises(InputDataError, match=r"fondant-spec index build hf://datasets/owner/ph"):
        find_index(LOCATION)


def test_pairs_of_datacomp_are_fetched_to_build_from(hub):
    """DataComp's metadata with its vectors: `.parquet` and `.npz` of one name."""
    for number in range(2):
        part = slice(number * 100, number * 100 + 100)
        np.savez(hub.root / f"{number:04}.npz", b32_img=VECTORS[part].astype(np.float16))
        pq.write_table(METADATA[part], hub.root / f"{number:04}.parquet")
    folder, _ = fetch_embeddings(LOCATION)
    assert len(open_source(folder, vectors="b32_img")) == 200


def test_fetch_says_what_it_takes(hub, capsys):
    """`index fetch --dry-run` names files, sizes and the free disk; without it, the folder."""
    write_fondant(hub.root)
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    assert run(parser.parse_args(["index", "fetch", LOCATION, "--dry-run"])) == 0
    told = capsys.readouterr().out
    assert f"{LOCATION}@{COMMIT}: 13 files" in told
    assert "to fetch:" in told
    assert not any("/resolve/" in path for path, _ in hub.requests)
    assert run(parser.parse_args(["index", "fetch", LOCATION])) == 0
    assert f"here: {fetch_index(LOCATION)[0]}" in capsys.readouterr().out


def test_references():
    """Repository, revision and folder are told apart; a slash in a revision is escaped."""
    one = IndexReference.parse("hf://datasets/owner/name@refs%2Fpr%2F1/a/b")
    assert one == IndexReference("owner/name", "refs/pr/1", "a/b")
    assert str(one) == "hf://datasets/owner/name@refs%2Fpr%2F1/a/b"
    assert IndexReference.parse("hf://datasets/o/n/") == IndexReference("o/n")
    for wrong in ("hf://owner/name", "hf://datasets/name", "hf://datasets/o/n/../../x"):
        with pytest.raises(InvalidArgumentError, match="is no index on the hub; write"):
            IndexReference.parse(wrong)


def test_short_names():
    """A short name stands for a location, whose model is known, however it is written."""
    known = KNOWN_INDEXES["datacomp-small"]
    assert full_location("datacomp-small") == known.location
    assert known_model("datacomp-small") == known.model_id == known_model(f"{known.location}@v1")
    assert known_model("my/index") is None
    assert full_location("my/index") == "my/index"
    with pytest.raises(InvalidArgumentError, match="did you mean 'datacomp-small'"):
        full_location("datacomp_small")
