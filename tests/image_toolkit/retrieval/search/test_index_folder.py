"""Every index layout can be opened, and its parts are checked against each other."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.dataset.trusted_places import TRUSTED
from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.index_folder import IndexFolder


def as_folder(index: Any, _: Path) -> IndexFolder:
    """clip-retrieval's index folder."""
    return IndexFolder(index.folder)


def as_listing(index: Any, _: Path) -> IndexFolder:
    """The folder by its own indices_paths.json."""
    return IndexFolder(index.folder / "indices_paths.json")


def as_listing_of_two(index: Any, tmp_path: Path) -> IndexFolder:
    """A listing in another place, with a relative path, and a name to choose."""
    shutil.copytree(index.folder, tmp_path / "copy")
    entries = {"a": "missing", "b": {"indice_folder": "copy", "clip_model": "ViT-B/32"}}
    (tmp_path / "indices_paths.json").write_text(json.dumps(entries))
    return IndexFolder(tmp_path / "indices_paths.json", "b")


def as_embeddings(index: Any, tmp_path: Path) -> IndexFolder:
    """clip-retrieval's embeddings folder, before `clip-retrieval index`."""
    for name in ("img_emb", "metadata"):
        shutil.copytree(index.folder / name, tmp_path / "embeddings" / name)
    return IndexFolder(tmp_path / "embeddings")


def as_vectors_beside_metadata(index: Any, _: Path) -> IndexFolder:
    """The folder of the vectors alone; the metadata is beside it."""
    return IndexFolder(index.folder / "img_emb")


def as_index_file_and_mapping(index: Any, tmp_path: Path) -> IndexFolder:
    """Fondant's pair: an index file, and one Parquet file with the URLs."""
    pq.write_table(index.metadata, tmp_path / "mapping.parquet")
    shutil.copy(index.folder / "image.index", tmp_path / "some.index")
    return IndexFolder(tmp_path / "some.index", metadata=tmp_path / "mapping.parquet")


def as_one_npy(index: Any, tmp_path: Path) -> IndexFolder:
    """One array, with its metadata named."""
    np.save(tmp_path / "vectors.npy", index.vectors)
    return IndexFolder(tmp_path / "vectors.npy", metadata=index.folder / "metadata")


def as_arrow_metadata(index: Any, tmp_path: Path) -> IndexFolder:
    """Metadata in Arrow files, as clip-retrieval has for large indexes."""
    (tmp_path / "metadata").mkdir()
    shutil.copy(index.folder / "image.index", tmp_path / "image.index")
    for number, start in enumerate((0, 400)):
        part = index.metadata.slice(start, 400)
        with pa.ipc.new_file(tmp_path / "metadata" / f"{number}_en.arrow", part.schema) as writer:
            writer.write_table(part)
    return IndexFolder(tmp_path)


def as_parquet(index: Any, tmp_path: Path) -> IndexFolder:
    """Parquet files that hold vectors and metadata."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(index.vectors.ravel()), 16)
    table = index.metadata.append_column("clip_embedding", lists)
    pq.write_table(table.slice(0, 250), tmp_path / "part-0.parquet")
    pq.write_table(table.slice(250), tmp_path / "part-1.parquet")
    return IndexFolder(tmp_path)


def as_text_index(index: Any, tmp_path: Path) -> IndexFolder:
    """An index of texts."""
    shutil.copytree(index.folder / "metadata", tmp_path / "metadata")
    shutil.copy(index.folder / "image.index", tmp_path / "text.index")
    return IndexFolder(tmp_path, modality="text")


LAYOUTS = [
    as_folder,
    as_listing,
    as_listing_of_two,
    as_embeddings,
    as_vectors_beside_metadata,
    as_index_file_and_mapping,
    as_one_npy,
    as_arrow_metadata,
    as_parquet,
    as_text_index,
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_give_the_same_rows(
    small_index: Any, tmp_path: Path, layout: Callable[[Any, Path], IndexFolder]
) -> None:
    """Whatever the layout, the hits, their order and their metadata are the same."""
    queries = small_index.vectors[[0, 17, 599]]

    index = layout(small_index, tmp_path).open()
    hits = index.search(queries, 6, columns=["url", "width"], duplicate_threshold=0.94)

    assert index.info.rows == 600
    assert index.info.dimension == 16
    assert set(index.info.columns or ()) >= {"url", "caption", "width", "punsafe"}
    assert "clip_embedding" not in (index.info.columns or ())
    expected = [row for query in queries for row in small_index.nearest(query, 6)]
    assert hits.index_id.tolist() == expected
    assert hits.query.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert hits.metadata["width"].to_pylist() == [100 + row for row in expected]
    assert hits.ranks().tolist() == list(range(6)) * 3


@pytest.mark.parametrize("layout", [as_folder, as_listing, as_listing_of_two])
def test_the_model_is_known_from_the_listing(
    small_index: Any, tmp_path: Path, layout: Callable[[Any, Path], IndexFolder]
) -> None:
    """indices_paths.json, in the folder or naming it, states the index's model."""
    assert layout(small_index, tmp_path).open().info.model_id == "ViT-B/32"


@pytest.mark.parametrize("layout", ["", "img_emb"])
def test_near_duplicates_count_once(small_index: Any, layout: str) -> None:
    """Of rows 4 and 5, which have one vector, only one is a hit, unless both are wanted."""
    index = IndexFolder(small_index.folder / layout).open()
    query = small_index.vectors[[4]]

    once = index.search(query, 3, columns=["url"], duplicate_threshold=0.94)
    twice = index.search(query, 3, columns=["url"], duplicate_threshold=None)

    third = small_index.nearest(query[0], 3)[2]
    assert once.index_id.tolist() in ([4, third], [5, third])
    assert sorted(twice.index_id.tolist()) == sorted([4, 5, third])


def test_more_than_there_are(small_index: Any) -> None:
    """Asking for more hits than there are rows gives all rows, and no row -1."""
    index = IndexFolder(small_index.folder, faiss_options=None).open()

    hits = index.search(small_index.vectors[:1], 5000, columns=["url"], duplicate_threshold=None)

    assert sorted(hits.index_id.tolist()) == list(range(600))


def test_missing_neighbours_are_dropped(small_index: Any, tmp_path: Path) -> None:
    """FAISS's -1, where an inverted file finds too few, is never taken for a row."""
    index = faiss.index_factory(16, "IVF32,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(small_index.vectors)
    index.add(small_index.vectors)
    faiss.write_index(index, str(tmp_path / "image.index"))
    _, raw = index.search(small_index.vectors[:1], 500)
    opened = IndexFolder(tmp_path, metadata=small_index.folder / "metadata").open()

    hits = opened.search(small_index.vectors[:1], 500, columns=["url"], duplicate_threshold=0.999)

    assert (raw == -1).any()
    assert 0 < len(hits) < 500
    assert (hits.index_id >= 0).all()


def test_the_fingerprint_follows_the_contents(small_index: Any, tmp_path: Path) -> None:
    """A copy has the same fingerprint; a changed vector or URL makes another."""
    first = shutil.copytree(small_index.folder, tmp_path / "copy")
    same = IndexFolder(first).open().info.fingerprint
    changed = small_index.metadata.set_column(0, "url", pa.array(["http://x.example/"] * 600))
    pq.write_table(changed, first / "metadata" / "metadata_0.parquet")
    for number in (1, 2):
        (first / "metadata" / f"metadata_{number}.parquet").unlink()

    assert same == IndexFolder(small_index.folder).open().info.fingerprint
    assert same != IndexFolder(first).open().info.fingerprint


def break_nothing_there(folder: Path) -> IndexFolder:
    """A folder that does not exist."""
    return IndexFolder(folder / "missing")


def break_rows(folder: Path) -> IndexFolder:
    """A metadata file is missing."""
    (folder / "metadata" / "metadata_2.parquet").unlink()
    return IndexFolder(folder)


def break_metadata(folder: Path) -> IndexFolder:
    """All metadata is missing."""
    shutil.rmtree(folder / "metadata")
    return IndexFolder(folder)


def break_padding(folder: Path) -> IndexFolder:
    """The metadata's numbers are not padded."""
    metadata = folder / "metadata"
    (metadata / "metadata_0.parquet").rename(metadata / "metadata_10.parquet")
    return IndexFolder(folder)


def break_name(folder: Path) -> IndexFolder:
    """The listing has no such index."""
    return IndexFolder(folder / "indices_paths.json", "laion5B")


def break_listing(folder: Path) -> IndexFolder:
    """The listing is no mapping."""
    (folder / "indices_paths.json").write_text("[1, 2]")
    return IndexFolder(folder / "indices_paths.json")


def break_vectors(folder: Path) -> IndexFolder:
    """There is neither an index nor vectors."""
    (folder / "image.index").unlink()
    shutil.rmtree(folder / "img_emb")
    return IndexFolder(folder)


def break_modality(folder: Path) -> IndexFolder:
    """There are only image vectors."""
    return IndexFolder(folder, modality="text")


def break_files(folder: Path) -> IndexFolder:
    """As many rows in all, but shifted between the files."""
    (folder / "image.index").unlink()
    vectors = np.concatenate([np.load(folder / "img_emb" / f"img_emb_{i}.npy") for i in range(3)])
    for number, part in enumerate(np.split(vectors, [150, 400])):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", part)
    return IndexFolder(folder)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (break_nothing_there, "index: there is no {folder}/missing."),
        (
            break_rows,
            (
                "{folder}: 600 vectors, but 400 rows of metadata in {folder}/metadata. They must "
                "be of "
                "the same data, row for row."
            ),
        ),
        (
            break_metadata,
            (
                "{folder}/../metadata: has no Parquet or Arrow files, so the hits would have no "
                "URLs. "
                "Name the folder of the index's metadata with `metadata`. (HDF5 is not read, since "
                "it "
                "does not say whether its rows were re-ordered; convert it.)"
            ),
        ),
        (
            break_padding,
            (
                "{folder}/metadata: sorted by name, metadata_10.parquet comes before "
                "metadata_2.parquet, and the files of {folder}/metadata and {folder}/img_emb do "
                "not go by the same numbers, so it is not clear which belong together. Write the "
                "ones anew, a file for each of the others, of the same rows and with the same "
                "number."
            ),
        ),
        (
            break_name,
            "indice_name: {folder}/indices_paths.json lists 'small', not 'laion5B'.",
        ),
        (
            break_vectors,
            (
                "index: {folder} has no image.index, no faiss with id_mapping/, no img_emb/*.npy "
                "and no Parquet files with vectors."
            ),
        ),
        (
            break_modality,
            (
                "index: {folder} has no text.index, no faiss with id_mapping/, no text_emb/*.npy "
                "and no Parquet files with vectors."
            ),
        ),
        (
            break_files,
            (
                "{folder}: img_emb_0.npy has 150 vectors, but metadata_0.parquet has 200 rows. "
                "They "
                "must be of the same data, row for row."
            ),
        ),
    ],
)
def test_parts_that_do_not_fit(
    small_index: Any, tmp_path: Path, break_it: Callable[[Path], IndexFolder], message: str
) -> None:
    """What is missing or does not belong together is reported, with where and what to do."""
    folder = shutil.copytree(small_index.folder, tmp_path / "index")

    with pytest.raises(InputDataError) as error:
        break_it(folder).open()

    assert str(error.value) == message.format(folder=folder).replace("/index/..", "")


def test_a_listing_that_is_none(small_index: Any, tmp_path: Path) -> None:
    """A listing of another form is refused with the form it should have."""
    folder = shutil.copytree(small_index.folder, tmp_path / "index")

    with pytest.raises(InputDataError, match=r'must be JSON of the form {"name"'):
        break_listing(folder).open()


@pytest.mark.parametrize("place", ["absolute", "../private", "link"])
def test_a_listing_names_folders_below_it(place: str, small_index: Any, tmp_path: Path) -> None:
    """A received listing leads to no other index, unless the user says so."""
    private, received = tmp_path / "private", tmp_path / "received"
    shutil.copytree(small_index.folder, private)
    received.mkdir()
    (received / "link").symlink_to(private)
    listing = received / "indices_paths.json"
    listing.write_text(json.dumps({"a": str(private) if place == "absolute" else place}))
    message = "lies outside of the listing's own. Name that folder itself as the index"
    with pytest.raises(InputDataError, match=message):
        IndexFolder(listing).open()
    with patch.dict(os.environ, {TRUSTED: str(private)}):
        assert IndexFolder(listing).open().info.rows == len(small_index.vectors)


def test_options_for_exact_search(small_index: Any) -> None:
    """FAISS options make no sense where there is no FAISS index."""
    with pytest.raises(InvalidArgumentError, match="is searched exactly; leave them out"):
        IndexFolder(small_index.folder / "img_emb", faiss_options="nprobe=4").open()


def test_vectors_of_two_columns(tmp_path: Path) -> None:
    """Where several columns could be the vectors, the user is asked which."""
    lists = pa.array([[1.0, 0.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"one": lists, "two": lists, "url": ["u"]}), tmp_path / "a.parquet")

    with pytest.raises(InputDataError) as error:
        IndexFolder(tmp_path).open()

    assert str(error.value) == (
        f"{tmp_path}/a.parquet: needs a column of float lists (one, or one named `embedding`); it "
        f"has: one, two, url."
    )


@pytest.mark.parametrize("key", ["Flat", "HNSW32,Flat", "IVF4,Flat"])
def test_zeros_are_nobodys_neighbours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """A search by distance finds them near to each text; they are ranked by their cosine, 0."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((300, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[[7, 70, 170]] = 0
    index = faiss.index_factory(64, key, faiss.METRIC_L2)
    index.train(vectors)
    index.add(vectors)
    if key.startswith("IVF"):
        index.nprobe = 4
    faiss.write_index(index, str(tmp_path / "image.index"))
    (tmp_path / "metadata").mkdir()
    urls = pa.table({"url": [f"http://a.test/{row}.jpg" for row in range(300)]})
    pq.write_table(urls, tmp_path / "metadata" / "metadata_0.parquet")
    queries = draw.standard_normal((5, 64)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)

    found = IndexFolder(tmp_path).open().search(queries, 3, columns=[], duplicate_threshold=None)

    cosines = -np.sort(-(queries @ vectors.T), axis=1)[:, :3]
    np.testing.assert_allclose(found.similarity.reshape(5, 3), cosines, atol=1e-5)
    assert not {7, 70, 170} & {*found.index_id.tolist()}
    assert "some of its vectors are zeros" in caplog.text
