import io
import json
from urllib.parse import urlsplit

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from demo.index import build_index
from demo.tiny_models import CLIP_FOLDER, embed_images
from fondant_spec.cli import main
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.model_identity import identify, same_model
from tests.image_toolkit.retrieval.clip_models import another_clip


@pytest.fixture(scope="module")
def vectors(index):
    """The vectors of all pages."""
    return np.load(index / "img_emb" / "img_emb_0.npy")


@pytest.fixture(scope="module")
def truth(collection):
    """The truth table's rows."""
    return pq.read_table(collection / "truth.parquet").to_pylist()


def test_index_metadata_and_vectors_belong_together(index, vectors):
    """FAISS, the metadata and the vectors have as many rows, and FAISS holds the very vectors."""
    image_index = faiss.read_index(str(index / "image.index"))
    metadata = pq.read_table(index / "metadata" / "metadata_0.parquet")
    assert image_index.ntotal == len(metadata) == len(vectors) == 400
    assert image_index.metric_type == faiss.METRIC_INNER_PRODUCT
    assert np.array_equal(image_index.reconstruct_n(0, 400), vectors)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_metadata_is_that_of_the_pages(index, collection):
    """Row i is page i, with the columns that clip-retrieval returns."""
    metadata = pq.read_table(index / "metadata" / "metadata_0.parquet")
    assert metadata.column_names == ["url", "caption", "width", "height", "NSFW", "license"]
    pages = pq.read_table(collection / "pages.parquet")
    assert metadata.select(pages.column_names) == pages


def test_the_listing_names_the_folder_and_the_model(index):
    """`indices_paths.json` has what `clip-retrieval back` and a handshake with the model need."""
    (options,) = json.loads((index / "indices_paths.json").read_text()).values()
    assert options["clip_model"] == f"hf_clip:{CLIP_FOLDER}"
    assert options["indice_folder"] == str(index)
    assert same_model(IndexFolder(index).open().info.model, identify(str(CLIP_FOLDER)))


def test_seeds_find_their_subject(index, seeds, truth, clip):
    """The ten nearest pages of each seed show its subject."""
    rows = pq.read_table(seeds / "data").to_pylist()
    images = [Image.open(io.BytesIO(row["image"]["bytes"])) for row in rows]
    model, processor = clip
    with torch.inference_mode():
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        queries = embed_images(model, pixels).numpy()
    nearest = faiss.read_index(str(index / "image.index")).search(queries, 10)[1]
    shown = np.array([row["subject"] for row in truth])[nearest]
    assert (shown == np.array([row["subject"] for row in rows])[:, None]).mean() >= 0.97


def test_dead_pages_keep_the_vector_of_what_they_showed(vectors, truth, collection, clip):
    """A page that is gone is in the index with the picture that the crawler saw."""
    dead = next(number for number, row in enumerate(truth) if row["kind"] == "not_found")
    path = urlsplit(truth[dead]["url"]).path.removeprefix("/")
    assert not (collection / "web" / path).exists()
    model, processor = clip
    with Image.open(collection / "crawled" / path) as image, torch.inference_mode():
        pixels = processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"]
        (vector,) = embed_images(model, pixels).numpy()
    assert vector @ vectors[dead] == pytest.approx(1, abs=1e-4)


def test_duplicates_are_the_nearest(vectors, truth):
    """An exact duplicate has another page's vector, a near duplicate almost."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    best = similarity.max(axis=1)
    kinds = np.array([row["kind"] for row in truth])
    assert best[kinds == "exact_duplicate"].min() > 0.9999
    assert best[kinds == "near_duplicate"].mean() > 0.985


def test_an_index_is_made_once(index, collection):
    """A second call changes nothing; without its marker the index is made anew."""
    before = (index / "image.index").stat().st_mtime_ns
    build_index(collection)
    assert (index / "image.index").stat().st_mtime_ns == before
    (index / "index.json").unlink()
    build_index(collection)
    assert (index / "image.index").stat().st_mtime_ns > before


def test_captions_tell_the_model(index, tmp_path, capsys):
    """Where no image can be had, captions find their own with the index's model, and no other."""
    assert main(["index", "check", str(index), "--model", str(CLIP_FOLDER)]) == 0
    told = capsys.readouterr().out
    assert " captions found at rank 1 (" in told
    assert f"verdict       {CLIP_FOLDER} is the model of this index" in told

    other = another_clip(tmp_path / "clip")
    assert main(["index", "check", str(index), "--model", str(other)]) == 1
    assert f"{other} is not the model of this index" in capsys.readouterr().err
