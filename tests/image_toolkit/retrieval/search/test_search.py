"""Exact search and FAISS give the neighbours that plain arithmetic gives."""

from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faiss.contrib.ondisk import merge_ondisk

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.cosine_ranking import CosineRanking
from image_toolkit.retrieval.search.exact import ExactSearch, exact_neighbours
from image_toolkit.retrieval.search.faiss_search import FaissSearch
from image_toolkit.retrieval.search.neighbours import NeighbourSearch
from image_toolkit.retrieval.search.vectors import NpyVectors, ParquetVectors, vector_column
from tests.image_toolkit.retrieval.conftest import random_vectors

ROWS, DIMENSION = 700, 16


VECTORS, QUERIES = random_vectors(ROWS, seed=0), random_vectors(9, seed=1)


def npy_search(folder: Path, dtype: type = np.float32, scale: float = 1) -> NeighbourSearch:
    """Exact search over three files, one of them with a single row."""
    files = []
    for number, part in enumerate(np.split(VECTORS, [300, 301])):
        files.append(folder / f"img_emb_{number}.npy")
        np.save(files[-1], (scale * part).astype(dtype))
    return ExactSearch(NpyVectors(files))


def parquet_search(folder: Path) -> NeighbourSearch:
    """Exact search over a list column."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), DIMENSION)
    pq.write_table(pa.table({"embedding": lists}), folder / "a.parquet", row_group_size=100)
    return ExactSearch(ParquetVectors([folder / "a.parquet"], "embedding"))


def faiss_search(folder: Path, key: str, metric: int = faiss.METRIC_INNER_PRODUCT) -> FaissSearch:
    """Search through an index made by a factory key."""
    index = faiss.index_factory(DIMENSION, key, metric)
    index.train(VECTORS)
    index.add(VECTORS)
    faiss.write_index(index, str(folder / "image.index"))
    return FaissSearch(folder / "image.index", "nprobe=8" if key.startswith("IVF") else None)


def on_disk_search(folder: Path) -> FaissSearch:
    """An index whose inverted lists are files of their own, as clip-retrieval has for LAION-5B."""
    lists = faiss.index_factory(DIMENSION, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    lists.train(VECTORS)
    directory = folder / "image.index"
    directory.mkdir()
    for number, part in enumerate((VECTORS[:300], VECTORS[300:])):
        block = faiss.clone_index(lists)
        start = 300 * number
        block.add_with_ids(part, np.arange(start, start + len(part)))
        faiss.write_index(block, str(folder / f"block_{number}.index"))
    blocks = [str(folder / f"block_{number}.index") for number in range(2)]
    merge_ondisk(lists, blocks, str(directory / "merged_index.ivfdata"))
    faiss.write_index(lists, str(directory / "populated.index"))
    for block in blocks:
        Path(block).unlink()
    return FaissSearch(directory, "nprobe=8")


SEARCHES = {
    "npy": npy_search,
    "npy_float16": lambda folder: npy_search(folder, np.float16),
    "npy_unnormalised": lambda folder: npy_search(folder, scale=12.5),
    "parquet": parquet_search,
    "flat": lambda folder: faiss_search(folder, "Flat"),
    "flat_l2": lambda folder: faiss_search(folder, "Flat", faiss.METRIC_L2),
    "hnsw": lambda folder: faiss_search(folder, "HNSW32,Flat"),
    "ivf": lambda folder: faiss_search(folder, "IVF8,Flat"),
    "on_disk": on_disk_search,
}


@pytest.mark.parametrize("name", SEARCHES)
def test_all_searches_agree(tmp_path: Path, name: str) -> None:
    """Every layout gives the same rows, the same cosines, and the vectors of those rows."""
    search = SEARCHES[name](tmp_path)
    cosines = QUERIES @ VECTORS.T
    true = np.argsort(-cosines, axis=1)[:, :8]

    runs = list(search.neighbours(QUERIES, 8, with_vectors=True))

    ids = np.concatenate([run.ids for run in runs])
    similarity = np.concatenate([run.similarity for run in runs])
    vectors = np.concatenate([run.vectors for run in runs])
    unit_found = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    assert (search.rows, search.dimension) == (ROWS, DIMENSION)
    assert [run.first for run in runs] == np.cumsum([0, *(len(r.ids) for r in runs)])[:-1].tolist()
    if name == "npy_float16":
        assert np.isclose(similarity, np.take_along_axis(cosines, ids, axis=1), atol=2e-3).all()
    else:
        assert (ids == true).all()
        assert np.allclose(similarity, np.take_along_axis(cosines, true, axis=1), atol=1e-5)
    assert np.allclose(unit_found, VECTORS[ids], atol=2e-3)


def test_runs_are_small_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of neighbours come for as many queries at a time as memory allows, none left out."""
    monkeypatch.setattr(
        "image_toolkit.retrieval.search.neighbours._RUN_BYTES", 2 * 4 * 8 * DIMENSION
    )

    for search in (npy_search(tmp_path), faiss_search(tmp_path, "Flat")):
        runs = list(search.neighbours(QUERIES, 8, with_vectors=True))

        assert [(run.first, len(run.ids)) for run in runs] == [
            (0, 2),
            (2, 2),
            (4, 2),
            (6, 2),
            (8, 1),
        ]


def test_exact_search_over_the_first_rows(tmp_path: Path) -> None:
    """A search may be limited to the first rows, across file and chunk borders."""
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    np.save(files[0], VECTORS[:400])
    np.save(files[1], VECTORS[400:])

    for rows in (1, 399, 400, 401, 700):
        _, ids = exact_neighbours(NpyVectors(files), QUERIES, 1, rows=rows)

        assert ids[:, 0].tolist() == (QUERIES @ VECTORS[:rows].T).argmax(axis=1).tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_rows_that_are_no_vectors_are_not_found(tmp_path: Path, kind: str, bad: float) -> None:
    """They have no cosine; the others are found all the same, with their vectors."""
    vectors = VECTORS[:6].copy()
    vectors[2, 3] = bad
    search: NeighbourSearch
    if kind == "npy":
        np.save(tmp_path / "a.npy", vectors)
        search = ExactSearch(NpyVectors([tmp_path / "a.npy"]))
    else:
        lists = pa.array(vectors.tolist(), pa.large_list(pa.float32()))
        pq.write_table(pa.table({"embedding": lists}), tmp_path / "a.parquet")
        search = ExactSearch(ParquetVectors([tmp_path / "a.parquet"], "embedding"))

    (run,) = search.neighbours(QUERIES, 6, with_vectors=True)

    assert (run.ids[:, 5] == -1).all()
    assert (np.sort(run.ids[:, :5]) == [0, 1, 3, 4, 5]).all()
    assert run.vectors is not None
    assert (run.vectors[:, :5] == vectors[run.ids[:, :5]]).all()


@pytest.mark.parametrize("length", [1e-30, 1e25])
def test_vectors_of_any_length_have_their_cosines(tmp_path: Path, length: float) -> None:
    """Lengths whose squares single precision does not hold make no difference."""
    np.save(tmp_path / "a.npy", (VECTORS * length).astype(np.float32))

    (run,) = ExactSearch(NpyVectors([tmp_path / "a.npy"])).neighbours(QUERIES, 8, with_vectors=True)

    wanted = -np.sort(-(QUERIES @ VECTORS.T), axis=1)[:, :8]
    assert np.allclose(run.similarity, wanted, atol=1e-4)


def test_vectors_in_large_lists_are_known() -> None:
    """Some programs write lists with offsets of 64 bits."""
    schema = pa.schema({"url": pa.string(), "embedding": pa.large_list(pa.float32())})
    assert vector_column(Path("a.parquet"), schema) == "embedding"


def test_equal_vectors_come_in_order(tmp_path: Path) -> None:
    """Among equal cosines, the row that comes first in the files is first."""
    file = tmp_path / "a.npy"
    np.save(file, np.repeat(QUERIES[:1], 50, axis=0))

    _, ids = exact_neighbours(NpyVectors([file]), QUERIES[:1], 5)

    assert ids.tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("Flat", "nprobe=4", "does not suit"),
        ("HNSW32,Flat", "nonsense", "does not suit"),
    ],
)
def test_options_that_do_not_suit(tmp_path: Path, key: str, options: str, message: str) -> None:
    """FAISS options of another kind of index are refused with a hint."""
    faiss_search(tmp_path, key)

    with pytest.raises(InvalidArgumentError, match=message):
        FaissSearch(tmp_path / "image.index", options)


@pytest.mark.parametrize("key", ["Flat", "HNSW32,Flat", "OPQ4,IVF8,PQ4x4"])
@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
def test_vectors_that_are_not_normalised(tmp_path: Path, key: str, metric: int) -> None:
    """Hits of an index of unnormalised vectors are ranked by cosine, and that is what is told."""
    lengths = np.random.default_rng(1).uniform(9, 12, (len(VECTORS), 1)).astype(np.float32)
    index = faiss.index_factory(DIMENSION, key, metric)
    index.train(VECTORS * lengths)
    index.add(VECTORS * lengths)
    faiss.write_index(index, str(tmp_path / "image.index"))
    search = FaissSearch(tmp_path / "image.index")
    length = search.typical_length() or 0
    assert 8 < length < 13
    ranking, count = CosineRanking(search, length), 5

    for with_vectors in (False, True):
        runs = list(ranking.neighbours(VECTORS, count, with_vectors=with_vectors))
        ids = np.concatenate([run.ids for run in runs])
        similarity = np.concatenate([run.similarity for run in runs])
        assert ids.shape == similarity.shape == (len(VECTORS), count)
        assert (np.diff(similarity, axis=1) <= 0).all()
        assert all((run.vectors is not None) == with_vectors for run in runs)
        if "PQ" not in key:  # codes are only near the vectors
            cosines = np.einsum("qnd,qd->qn", VECTORS[ids], VECTORS)
            np.testing.assert_allclose(similarity, cosines, atol=1e-5)
            assert ids[:, 0].tolist() == list(range(len(VECTORS)))


@pytest.mark.parametrize("key", ["Flat", "HNSW32,Flat", "IVF8,Flat", "OPQ4,IVF8,PQ4x4"])
def test_normalised_vectors_keep_their_length(tmp_path: Path, key: str) -> None:
    """Normalised vectors are known by their length, also after quantisation."""
    assert 0.5 < (faiss_search(tmp_path, key).typical_length() or 0) < 1.2


def test_a_file_that_is_no_index(tmp_path: Path) -> None:
    """A file that FAISS cannot read is reported in a line."""
    file = tmp_path / "image.index"
    file.write_bytes(b"not an index at all")

    with pytest.raises(InputDataError, match=r"image.index: is no FAISS index that can be read"):
        FaissSearch(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY broken", "is no .npy file that can be read"),
        (np.arange(4.0), r"needs floats of shape \(rows, dimensions\), not float64 \(4,\)"),
        (np.ones((2, 2), np.int64), r"not int64 \(2, 2\)"),
        (np.array([[{}]], object), "is no .npy file that can be read"),
    ],
)
def test_npy_files_that_are_refused(tmp_path: Path, content: object, message: str) -> None:
    """Only arrays of floats are read, and nothing pickled ever."""
    file = tmp_path / "a.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content, allow_pickle=True)

    with pytest.raises(InputDataError, match=message):
        NpyVectors([file])


def test_files_of_two_dimensions(tmp_path: Path) -> None:
    """Vectors of two lengths do not make one index."""
    np.save(tmp_path / "a.npy", np.ones((1, 3), np.float32))
    np.save(tmp_path / "b.npy", np.ones((1, 4), np.float32))

    with pytest.raises(InputDataError, match=r"b.npy has 4 dimensions, but .*a.npy has 3"):
        NpyVectors([tmp_path / "a.npy", tmp_path / "b.npy"])


@pytest.mark.parametrize("bad", [None, [1.0, 2.0], [1.0, None, *[0.0] * (DIMENSION - 2)]])
def test_parquet_vectors_must_be_whole(tmp_path: Path, bad: object) -> None:
    """A null, short or holed vector in Parquet is reported before it shifts the others."""
    rows = [VECTORS[0].tolist(), bad]
    pq.write_table(pa.table({"v": pa.array(rows, pa.list_(pa.float32()))}), tmp_path / "a.parquet")
    search = ExactSearch(ParquetVectors([tmp_path / "a.parquet"], "v"))

    with pytest.raises(InputDataError, match="every row must be a vector of 16 numbers"):
        list(search.neighbours(QUERIES, 1, with_vectors=False))
