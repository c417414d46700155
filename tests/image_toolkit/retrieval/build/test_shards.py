"""Inverted files are built in shards: whatever builds or kills them, the index is the same."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import as_completed
from multiprocessing import active_children
from pathlib import Path
from typing import Any, NoReturn

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from fondant_spec.errors import InputDataError, StepFailedError
from image_toolkit.retrieval.build import shard_workers
from image_toolkit.retrieval.build.build_estimate import BuildEstimate
from image_toolkit.retrieval.build.build_index import BuildOptions, Built, build_index
from image_toolkit.retrieval.build.check_index import check_index
from image_toolkit.retrieval.build.index_kinds import named_kind
from image_toolkit.retrieval.build.shards import Shard
from image_toolkit.retrieval.build.staging import Staging
from image_toolkit.retrieval.build.vector_sources import open_source
from image_toolkit.retrieval.search.faiss_search import FaissSearch
from image_toolkit.retrieval.search.index_folder import IndexFolder

ROWS, DIMENSION, PORTION = 2000, 16, 300
KILLED = f"""
import os, signal, sys
from image_toolkit.retrieval.build import shard_workers
from image_toolkit.retrieval.build.staging import Staging
from fondant_spec.cli import main

def killed_after_three(shards, processes, made=shard_workers._made):
    assert processes == 2, processes
    for number, shard in enumerate(made(shards[:6], processes)):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield shard

Staging.fill.__defaults__ = ({PORTION},)
shard_workers._made = killed_after_three
main()
"""


def unit(rows: int, seed: int) -> np.ndarray:
    """Vectors of length 1 that lie in clusters, as those of images do."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((20, DIMENSION))
    vectors = centres[random.integers(20, size=rows)]
    vectors = vectors + 0.5 * random.standard_normal((rows, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS, QUERIES = unit(ROWS, 0), unit(50, 1)


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Staging.fill, "__defaults__", (PORTION,))


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of URLs with vectors."""
    file = tmp_path_factory.mktemp("source") / "vectors.parquet"
    lists = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), DIMENSION)
    urls = [f"http://a.example/{i}.jpg" for i in range(ROWS)]
    pq.write_table(pa.table({"url": urls, "embedding": lists}), file)
    return file


def build(source: Path, folder: Path, **options: Any) -> Built:
    """Build an inverted file, in this process."""
    made = BuildOptions(**{"kind": "ivf_pq", "memory_gb": 0.5, "keep_vectors": True, **options})
    return build_index(open_source(source), folder, made)


@pytest.fixture(scope="session")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that was built at one go, in one shard."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    build(source, folder)
    return folder


def hits_of(folder: Path) -> Any:
    """What an index finds for the queries, copies left out."""
    index = IndexFolder(folder).open()
    return index.search(QUERIES, 10, columns=["url"], duplicate_threshold=0.99, with_vectors=True)


def test_shards_make_what_faiss_makes(whole: Path) -> None:
    """The lists are byte for byte those of FAISS, when it is given all vectors at once."""
    merged: Any = faiss.read_index(str(whole / "image.index"))
    at_once: Any = faiss.clone_index(merged)
    at_once.reset()
    at_once.add(np.load(next((whole / "img_emb").iterdir())))
    assert faiss.serialize_index(at_once).tobytes() == faiss.serialize_index(merged).tobytes()


def test_a_killed_build_keeps_its_shards(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL only what was not finished is made, and the index is as if nothing had been."""
    folder = tmp_path / "index"
    command = [sys.executable, "-c", KILLED, "index", "build", str(source), str(folder)]
    killed = subprocess.run(
        [*command, "--kind", "ivf_pq"], env=_two_cores(), capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = {path.stem for path in tmp_path.glob("index.building/shards/*/*") if path.suffix == ""}
    assert 3 < len(kept) < ROWS / PORTION
    made = _recorded(monkeypatch)

    build(source, folder)

    every = {f"img_emb_{number:05d}" for number in range(7)}
    assert {*made} == every - kept
    assert (folder / "image.index").read_bytes() == (whole / "image.index").read_bytes()


def test_a_process_that_is_killed(
    source: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a killed process had at hand is made by those that are left."""

    def killing(running: Any) -> Any:
        active_children()[0].kill()
        return as_completed(running)

    monkeypatch.setattr(shard_workers, "as_completed", killing)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    build(source, tmp_path / "index", memory_gb=4)

    found, wanted = tmp_path / "index" / "image.index", whole / "image.index"
    assert "a process that makes shards was killed" in caplog.text
    assert found.read_bytes() == wanted.read_bytes()


def test_a_build_that_is_stopped_in_merging(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merging begins again, with the longer codes where they were moved to."""
    with monkeypatch.context() as patched:
        patched.setattr("image_toolkit.retrieval.build.build_inverted.merge_lists", _stop)
        with pytest.raises(InterruptedError):
            build(source, tmp_path / "index")
    assert not [*tmp_path.glob("index.building/shards/*/*/longer.npy")]
    made = _recorded(monkeypatch)

    build(source, tmp_path / "index")

    found, wanted = tmp_path / "index" / "image.index", whole / "image.index"
    assert found.read_bytes() == wanted.read_bytes()
    assert not made


@pytest.mark.parametrize("first_on_disk", [True, False])
def test_a_build_that_is_stopped_in_saving(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, first_on_disk: bool
) -> None:
    """What it is saved from is still there, and what was saved of it makes way."""
    replace = Path.replace

    def stop_at_the_end(self: Path, target: Path) -> Path:
        return _stop() if self.name == "index.building" else replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop_at_the_end)
        with pytest.raises(InterruptedError):
            build(source, tmp_path / "index", lists_on_disk=first_on_disk)
    assert (tmp_path / "index.building" / "image.index").is_dir() == first_on_disk
    made = _recorded(monkeypatch)

    build(source, tmp_path / "index", lists_on_disk=True)
    build(source, tmp_path / "at once", lists_on_disk=True)

    found, wanted = (
        sorted((tmp_path / name / "image.index").iterdir()) for name in ("index", "at once")
    )
    assert [file.read_bytes() for file in found] == [file.read_bytes() for file in wanted]
    assert len(made) == 7  # of the second index alone


def test_another_plan_makes_all_anew(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of another kind of codes are not taken for those that are wanted now."""
    with monkeypatch.context() as patched:
        patched.setattr("image_toolkit.retrieval.build.build_inverted.merge_lists", _stop)
        with pytest.raises(InterruptedError):
            build(source, tmp_path / "index", memory_gb=2.5e-5)

    build(source, tmp_path / "index")

    found, wanted = tmp_path / "index" / "image.index", whole / "image.index"
    assert found.read_bytes() == wanted.read_bytes()


def test_a_cluster_makes_shards(
    source: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is a Dask cluster of the user's own, its workers make the shards."""
    made = _recorded(monkeypatch)
    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        monkeypatch.setenv(shard_workers.SCHEDULER, cluster.scheduler_address)
        build(source, tmp_path / "index")

    found, wanted = tmp_path / "index" / "image.index", whole / "image.index"
    assert found.read_bytes() == wanted.read_bytes()
    assert not made, "this process made some itself"


def test_a_cluster_that_is_not_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler that does not answer is told, and that nothing is lost."""
    monkeypatch.setenv(shard_workers.SCHEDULER, "tcp://127.0.0.1:1")
    monkeypatch.setattr(shard_workers, "_PATIENCE", "1 s")
    with pytest.raises(StepFailedError, match=r"DASK_SCHEDULER_ADDRESS.*the same command goes on"):
        build(source, tmp_path / "index")


def test_lists_that_stay_on_disk(source: Path, whole: Path, tmp_path: Path) -> None:
    """Where the codes do not fit in memory they are mapped, and found is the same."""
    built = build(source, tmp_path / "index", lists_on_disk=True)
    folder = tmp_path / "index" / "image.index"
    search: Any = FaissSearch(folder)._index
    mapped, held = hits_of(tmp_path / "index"), hits_of(whole)

    assert built.kind.mapped
    assert built.kind.memory_bytes < 20_000 < built.kind.lists_bytes
    assert sorted(path.name for path in folder.iterdir()) == [
        "learnt.index",
        "lists.bin",
        "longer_codes.index",
        "search_options.txt",
        "sizes.npy",
    ]
    inverted: Any = faiss.extract_index_ivf(search.base_index)
    lists = faiss.downcast_InvertedLists(inverted.invlists)
    assert isinstance(lists, faiss.OnDiskInvertedLists)
    assert not faiss.downcast_index(search.refine_index).codes.is_owned
    assert np.array_equal(mapped.index_id, held.index_id)
    assert np.array_equal(mapped.similarity, held.similarity)
    assert np.array_equal(mapped.vectors, held.vectors)
    options = f"nprobe={inverted.nprobe},k_factor_rf={search.k_factor:.0f}"
    assert built.measurements[-1].options == options
    lines = dict(line.split(None, 1) for line in check_index(IndexFolder(tmp_path / "index")))
    assert float(lines["recall@10"]) >= 0.95


def cut_lists(folder: Path) -> str:
    """The lists end before their end."""
    file = folder / "lists.bin"
    file.write_bytes(file.read_bytes()[:-5000])
    return "bytes instead of"


def lose_lists(folder: Path) -> str:
    """The lists are gone."""
    (folder / "lists.bin").unlink()
    return "lists.bin"


def swap_codes(folder: Path) -> str:
    """The longer codes are of another index."""
    codes: Any = faiss.index_factory(DIMENSION, "SQ8", faiss.METRIC_INNER_PRODUCT)
    codes.train(VECTORS)
    codes.add(VECTORS[:10])
    faiss.write_index(codes, str(folder / "longer_codes.index"))
    return "longer_codes.index is of another index"


@pytest.mark.parametrize("harm", [cut_lists, lose_lists, swap_codes])
def test_damage_on_disk_is_told(source: Path, tmp_path: Path, harm: Callable[[Path], str]) -> None:
    """An index on disk of which a file is damaged is refused before it is searched."""
    build(source, tmp_path / "index", lists_on_disk=True)
    told = harm(tmp_path / "index" / "image.index")
    with pytest.raises(InputDataError, match=f"can be read .*{told}"):
        IndexFolder(tmp_path / "index").open()


@pytest.mark.parametrize("rows", [10**6, 10**7, 10**8, 10**9])
@pytest.mark.parametrize("gigabytes", [2, 4, 16])
def test_building_keeps_to_the_memory(rows: int, gigabytes: int) -> None:
    """However many vectors there are, building stays in the memory that was stated."""
    memory = gigabytes << 30
    kind = named_kind("ivf_pq", rows, 512, memory)
    assert kind.mapped == (rows * 100 > memory)
    assert BuildEstimate(kind, memory).building_bytes <= memory
    assert kind.memory_bytes <= memory


def _stop(*_: object) -> NoReturn:
    raise InterruptedError


def _recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the shards that this process makes, as it makes them."""
    made: list[str] = []
    make = Shard.make

    def record(self: Shard) -> None:
        made.append(self.vectors.stem)
        make(self)

    monkeypatch.setattr(Shard, "make", record)
    return made


def _two_cores() -> dict[str, str]:
    return {**os.environ, "LOKY_MAX_CPU_COUNT": "2"}
