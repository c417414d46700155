"""A FAISS index is read in the order in which it was built, as its vectors can prove."""

import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.build.build_index import BuildOptions, build_index
from image_toolkit.retrieval.build.check_index import check_index
from image_toolkit.retrieval.build.vector_sources import open_source
from image_toolkit.retrieval.search.index_folder import IndexFolder
from tests.image_toolkit.retrieval.conftest import metadata_of, random_vectors, write_index

ROWS, FILES = 600, 12


@pytest.fixture
def unpadded(tmp_path: Path) -> Any:
    """Twelve files numbered without padding, and an index in the order of their names."""
    made = write_index(tmp_path / "index", random_vectors(ROWS), metadata_of(ROWS), FILES)
    add(made.folder, sorted((made.folder / "img_emb").iterdir()))
    return made


def add(folder: Path, files: list[Path], kind: str = "Flat") -> None:
    """Write an index of the files' vectors, in their order."""
    vectors = np.concatenate([np.load(file) for file in files])
    index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "image.index"))


def by_numbers(folder: Path) -> list[Path]:
    """The files of vectors in the order of their numbers."""
    return [folder / "img_emb" / f"img_emb_{number}.npy" for number in range(FILES)]


def found_widths(index: Any, vectors: np.ndarray) -> list[int]:
    """The widths, which number the rows, of the images nearest to vectors."""
    hits = index.search(vectors, 1, columns=["width"], duplicate_threshold=None)
    return [width - 100 for width in hits.metadata["width"].to_pylist()]


@pytest.mark.parametrize("vectors_beside", [True, False])
def test_metadata_is_read_as_clip_retrieval_built_the_index(
    unpadded: Any,
    vectors_beside: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each vector finds its own row, files without padding or not; what is not proved is said."""
    if not vectors_beside:
        shutil.rmtree(unpadded.folder / "img_emb")

    index = IndexFolder(unpadded.folder).open()

    assert found_widths(index, unpadded.vectors) == list(range(ROWS))
    assert ("put the vectors beside the index" in caplog.text) is not vectors_beside


def test_an_index_in_the_other_order_is_refused(unpadded: Any) -> None:
    """An index that was built in the order of the numbers gets no wrong URL, and good advice."""
    folder = unpadded.folder
    add(folder, by_numbers(folder))
    with pytest.raises(InputDataError, match="built in the order of the numbers") as error:
        IndexFolder(folder).open()
    assert "Pad the numbers with zeros to one width" in str(error.value)

    for name in ("img_emb", "metadata"):  # as the advice has it
        for file in list((folder / name).iterdir()):
            number = int(file.stem.rpartition("_")[2])
            file.rename(file.with_name(f"{name}_{number:02d}{file.suffix}"))

    index = IndexFolder(folder).open()
    assert found_widths(index, unpadded.vectors) == list(range(ROWS))
    assert "pairing       200 of 200 vectors found at their own rows" in [
        *check_index(IndexFolder(folder))
    ]


def test_vectors_without_an_index_are_paired_by_their_numbers(unpadded: Any) -> None:
    """Where vectors and metadata are padded otherwise, those of one number belong together."""
    (unpadded.folder / "image.index").unlink()
    for file in list((unpadded.folder / "metadata").iterdir()):
        number = int(file.stem.rpartition("_")[2])
        file.rename(file.with_name(f"metadata_{number:04d}.parquet"))

    index = IndexFolder(unpadded.folder).open()
    assert found_widths(index, unpadded.vectors) == list(range(ROWS))

    built = unpadded.folder.with_name("built")
    build_index(open_source(unpadded.folder), built, BuildOptions())
    assert found_widths(IndexFolder(built).open(), unpadded.vectors) == list(range(ROWS))


@pytest.mark.parametrize("kind", ["Flat", "HNSW8,Flat", "IVF8,PQ8x6"])
def test_the_check_looks_vectors_up(small_index: Any, tmp_path: Path, kind: str) -> None:
    """Of an index of any kind most vectors are at their rows; of another's, none that counts."""
    folder = shutil.copytree(small_index.folder, tmp_path / "index")
    add(folder, sorted((folder / "img_emb").iterdir()), kind)
    (line,) = (line for line in check_index(IndexFolder(folder)) if line.startswith("pairing"))
    assert int(line.split()[1]) > 150

    turned = np.roll(small_index.vectors, 7, axis=0)
    for number, part in enumerate(np.split(turned, 3)):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", part)
    with pytest.raises(InputDataError, match="its rows are not those of the metadata"):
        list(check_index(IndexFolder(folder)))


def test_what_cannot_be_looked_up_is_said(small_index: Any, tmp_path: Path) -> None:
    """Without vectors beside it, an index passes its check, unproved."""
    folder = shutil.copytree(small_index.folder, tmp_path / "index")
    shutil.rmtree(folder / "img_emb")
    lines = list(check_index(IndexFolder(folder)))
    assert lines[-1] == (
        "pairing       not proved: there are no vectors beside the index to look up"
    )


@pytest.mark.parametrize("layout", ["", "img_emb"])
def test_what_macos_leaves_is_no_part_of_an_index(
    small_index: Any, tmp_path: Path, layout: str
) -> None:
    """AppleDouble files beside vectors and metadata are passed over."""
    folder = shutil.copytree(small_index.folder, tmp_path / "index")
    for file in [*(folder / "img_emb").iterdir(), *(folder / "metadata").iterdir()]:
        file.with_name(f"._{file.name}").write_bytes(b"\x00\x05\x16\x07")
    index = IndexFolder(folder / layout).open()
    assert found_widths(index, small_index.vectors[:1]) == [0]
    assert len(open_source(folder)) == ROWS


def test_arrays_by_columns_are_read(small_index: Any, tmp_path: Path) -> None:
    """A Fortran-ordered array gives the same rows as any other, searched and indexed."""
    folder = shutil.copytree(small_index.folder, tmp_path / "index")
    (folder / "image.index").unlink()
    for file in (folder / "img_emb").iterdir():
        np.save(file, np.asfortranarray(np.load(file)))
    index = IndexFolder(folder).open()
    assert found_widths(index, small_index.vectors[:5]) == [0, 1, 2, 3, 4]
    build_index(open_source(folder), tmp_path / "built", BuildOptions())
    assert found_widths(IndexFolder(tmp_path / "built").open(), small_index.vectors[[7]]) == [7]
