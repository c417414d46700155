"""Less usual kinds of FAISS indexes, and damaged files."""

import random
import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.faiss_search import FaissSearch
from image_toolkit.retrieval.search.index_folder import IndexFolder


@pytest.mark.parametrize("wrapper", [faiss.IndexIDMap, faiss.IndexIDMap2])
@pytest.mark.parametrize("threshold", [None, 0.94])
def test_ids_that_number_the_rows(
    small_index: Any, tmp_path: Path, wrapper: Any, threshold: float | None
) -> None:
    """An index with ids, in whatever order its vectors came, gives the rows of those ids."""
    order = np.random.default_rng(0).permutation(len(small_index.vectors))
    index = wrapper(faiss.IndexFlatIP(16))
    index.add_with_ids(small_index.vectors[order], order)
    folder = shutil.copytree(small_index.folder, tmp_path / "index")
    faiss.write_index(index, str(folder / "image.index"))

    opened = IndexFolder(folder).open()
    hits = opened.search(
        small_index.vectors[[3, 99]], 4, columns=["width"], duplicate_threshold=threshold
    )

    expected = [*small_index.nearest(small_index.vectors[3], 4)]
    expected += small_index.nearest(small_index.vectors[99], 4)
    assert hits.index_id.tolist() == expected
    assert hits.metadata["width"].to_pylist() == [100 + row for row in expected]


@pytest.mark.parametrize("ids", [np.arange(600) + 1, np.zeros(600), np.arange(600) * 10**12])
def test_ids_that_number_no_rows(small_index: Any, tmp_path: Path, ids: np.ndarray) -> None:
    """An index whose ids are not those of the rows is refused: its hits would be other images."""
    index = faiss.IndexIDMap(faiss.IndexFlatIP(16))
    index.add_with_ids(small_index.vectors, ids.astype(np.int64))
    faiss.write_index(index, str(tmp_path / "image.index"))
    with pytest.raises(InputDataError, match="its ids are not the numbers 0 to 599 of its rows"):
        IndexFolder(tmp_path, metadata=small_index.folder / "metadata").open()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("kind", ["Flat", "HNSW8,Flat", "IDMap,Flat"])
def test_a_damaged_file_is_named(small_index: Any, tmp_path: Path, kind: str) -> None:
    """Cut anywhere, or with numbers in its head turned into huge ones, a file is no traceback."""
    index = faiss.index_factory(16, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(small_index.vectors)
    if kind.startswith("IDMap"):
        index.add_with_ids(small_index.vectors, np.arange(600))
    else:
        index.add(small_index.vectors)
    file = tmp_path / "image.index"
    faiss.write_index(index, str(file))
    whole = file.read_bytes()
    chosen = random.Random(0)
    damaged = [whole[: chosen.randrange(len(whole))] for _ in range(20)]
    damaged += [whole[:n] + b"\xff" * 4 + whole[n + 4 :] for n in range(4, 60, 4)]
    forty = (1 << 40).to_bytes(8, "little")
    damaged += [whole[:n] + forty + whole[n + 8 :] for n in range(4, 240, 4)]
    refused = 0
    for content in [b"", b"<html>", *damaged]:
        file.write_bytes(content)
        try:
            FaissSearch(file).typical_length()
        except InputDataError as error:
            assert str(error).startswith(f"{file}: ")  # noqa: PT017 - most, not all, are refused
            refused += 1
    assert refused > 20
