"""Indexes are built from every layout, go on after a stop, and find what exact search finds."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fondant_spec.errors import InputDataError
from fondant_spec.testing import write_dataset
from image_toolkit.retrieval.build.build_index import BuildOptions, build_index
from image_toolkit.retrieval.build.check_index import check_index
from image_toolkit.retrieval.build.index_kinds import choose_kind, named_kind
from image_toolkit.retrieval.build.recall import recall
from image_toolkit.retrieval.build.staging import Staging, left_out_rows
from image_toolkit.retrieval.build.vector_source import Portion, VectorSource
from image_toolkit.retrieval.build.vector_sources import open_source
from image_toolkit.retrieval.search.index_folder import IndexFolder

ROWS, DIMENSION = 2000, 16


def clustered(rows: int, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    """Vectors that lie in clusters, as those of images do, of any length."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((20, dimension))
    noise = 0.5 * random.standard_normal((rows, dimension))
    return (centres[random.integers(20, size=rows)] + noise).astype(np.float32)


VECTORS = clustered(ROWS)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
METADATA = pa.table(
    {
        "URL": [f"http://a.example/{i}.jpg" for i in range(ROWS)],
        "TEXT": [f"picture {i}" for i in range(ROWS)],
        "WIDTH": list(range(ROWS)),
    }
)


def lists_of(vectors: np.ndarray) -> pa.Array:
    """Vectors as an Arrow column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


def parquet(folder: Path, **options: Any) -> Path:
    """Parquet with a vector column, among images that an index has no use for."""
    table = METADATA.append_column("embedding", lists_of(VECTORS))
    table = table.append_column("image", pa.array([b"\xff\xd8"] * ROWS))
    folder.mkdir(exist_ok=True)
    pq.write_table(table.slice(0, 900), folder / "part-0.parquet", row_group_size=400, **options)
    pq.write_table(table.slice(900), folder / "part-1.parquet", **options)
    return folder


def from_parquet(tmp_path: Path) -> VectorSource:
    """A folder of Parquet files."""
    return open_source(parquet(tmp_path / "parquet"))


def from_laion(tmp_path: Path) -> VectorSource:
    """Re-LAION's layout: half-precision vectors, and metadata in a folder of its own."""
    for name in ("img_emb", "laion-metadata"):
        (tmp_path / name).mkdir()
    for number, start in enumerate(range(0, ROWS, 1000)):
        part = VECTORS[start : start + 1000].astype(np.float16)
        np.save(tmp_path / "img_emb" / f"img_emb_{number:04d}.npy", part)
        file = tmp_path / "laion-metadata" / f"metadata_{number:04d}.parquet"
        pq.write_table(METADATA.slice(start, 1000), file)
    return open_source(tmp_path, metadata=tmp_path / "laion-metadata")


def from_datacomp(tmp_path: Path) -> VectorSource:
    """DataComp's layout: pairs of Parquet and npz, with vectors of two models."""
    renamed = METADATA.rename_columns(["url", "text", "original_width"])
    for number, start in enumerate(range(0, ROWS, 700)):
        part = VECTORS[start : start + 700]
        np.savez(tmp_path / f"{number:08d}.npz", l14_img=part, b32_img=part[:, :8])
        pq.write_table(renamed.slice(start, 700), tmp_path / f"{number:08d}.parquet")
    return open_source(tmp_path, vectors="l14_img")


def from_dataset(tmp_path: Path) -> VectorSource:
    """A dataset that a pipeline wrote, in several partitions."""
    table = pa.table(
        {
            "image_url": METADATA["URL"],
            "alt_text": METADATA["TEXT"],
            "embedding": lists_of(VECTORS),
            "image": pa.array([b"\xff\xd8"] * ROWS),
        }
    )
    metadata = {"embedding": {"model_id": "openai/clip-vit-base-patch32", "dimension": DIMENSION}}
    manifest = write_dataset(table, tmp_path, rows_per_partition=600, metadata=metadata)
    return open_source(Path(manifest.location).parent)


@pytest.mark.parametrize("layout", [from_parquet, from_laion, from_datacomp, from_dataset])
def test_every_layout_is_indexed(tmp_path: Path, layout: Callable[[Path], VectorSource]) -> None:
    """From every layout comes a clip-retrieval folder with the same rows, in the same order."""
    source = layout(tmp_path)
    built = build_index(source, tmp_path / "index", BuildOptions(name="mine"))
    index = IndexFolder(tmp_path / "index").open()

    hits = index.search(UNIT[[0, 1234]], 5, columns=["url", "caption"], duplicate_threshold=None)

    expected = np.argsort(-(UNIT[[0, 1234]] @ UNIT.T), axis=1)[:, :5].ravel().tolist()
    assert (built.kind.name, built.rows, built.left_out) == ("flat", ROWS, 0)
    assert built.measurements[-1].recall == 1
    if layout is not from_laion:  # half precision may swap near-equal ones
        assert hits.index_id.tolist() == expected
    assert hits.metadata["url"].to_pylist() == [
        f"http://a.example/{row}.jpg" for row in hits.index_id
    ]
    assert set(index.info.columns or ()) >= {"url", "caption"}
    assert not {"image", "embedding"} & set(index.info.columns or ())
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == [
        "image.index",
        "image.json",
        "indices_paths.json",
        "metadata",
    ]


def test_the_model_is_handed_on(tmp_path: Path) -> None:
    """The model that made a dataset's vectors is the model of the index built from them."""
    build_index(from_dataset(tmp_path), tmp_path / "index", BuildOptions(name="mine"))

    listing = json.loads((tmp_path / "index" / "indices_paths.json").read_text())
    assert listing["mine"]["clip_model"] == "ViT-B/32"
    assert IndexFolder(tmp_path / "index").open().info.model_id == "ViT-B/32"


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf_pq"])
def test_recall_of_every_kind(tmp_path: Path, kind: str) -> None:
    """Each kind finds most true neighbours, and says so by the queries that were held out."""
    built = build_index(
        from_parquet(tmp_path), tmp_path / "index", BuildOptions(kind=kind, keep_vectors=True)
    )

    description = json.loads((tmp_path / "index" / "image.json").read_text())
    lines = dict(line.split(None, 1) for line in check_index(IndexFolder(tmp_path / "index")))
    least = {"flat": 1, "hnsw": 0.95, "ivf_pq": 0.95}[kind]
    assert built.held_out == 100
    assert built.measurements[-1].recall >= least
    assert float(lines["recall@10"]) >= least
    assert description["10-recall@10"] == built.measurements[-1].recall
    assert description["index_param"] == built.measurements[-1].options
    size = (tmp_path / "index" / "image.index").stat().st_size
    assert built.kind.file_bytes == pytest.approx(size, rel=0.3)
    assert lines["rows"] == "2000, each with its metadata"


def test_codes_are_refined_from_disk(tmp_path: Path) -> None:
    """An ivf_pq index finds the nearest among what its codes find, by codes that stay on disk."""
    source = from_parquet(tmp_path)
    target = BuildOptions(kind="ivf_pq", target_recall=0.97)
    built = build_index(source, tmp_path / "index", target)
    modest = build_index(
        source, tmp_path / "modest", BuildOptions(kind="ivf_pq", target_recall=0.5)
    )
    file = tmp_path / "index" / "image.index"
    mapped = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    queries = clustered(50, seed=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)

    hits = (
        IndexFolder(tmp_path / "index")
        .open()
        .search(queries, 10, columns=["WIDTH"], duplicate_threshold=None)
    )

    cosines = (queries[hits.query] * UNIT[hits.index_id]).sum(axis=1)
    true = np.argsort(-(queries @ UNIT.T), axis=1)[:, :10]
    assert np.abs(hits.similarity - cosines).max() < 0.01
    assert recall(hits.index_id.reshape(50, 10), true) >= 0.95
    assert built.measurements[-1].recall >= 0.97
    assert len(modest.measurements) < len(built.measurements)
    assert built.measurements[-1].options == (
        f"nprobe={faiss.extract_index_ivf(mapped.base_index).nprobe},"
        f"k_factor_rf={mapped.k_factor:.0f}"
    )
    assert not faiss.downcast_index(mapped.refine_index).codes.is_owned
    assert mapped.ntotal == mapped.base_index.ntotal == mapped.refine_index.ntotal == ROWS


def test_rows_without_a_vector_are_left_out(tmp_path: Path) -> None:
    """Rows whose vector is missing, short, zero or not finite are left out, with their metadata."""
    rows = [list(map(float, vector)) for vector in VECTORS[:100]]
    rows[3], rows[50], rows[98] = None, [1.0], [0.0] * DIMENSION
    rows[99][5] = float("nan")
    table = METADATA.slice(0, 100).append_column("v", pa.array(rows, pa.list_(pa.float32())))
    pq.write_table(table, tmp_path / "a.parquet")

    built = build_index(open_source(tmp_path / "a.parquet"), tmp_path / "index", BuildOptions())

    index = IndexFolder(tmp_path / "index").open()
    hits = index.search(UNIT[[60]], 1, columns=["WIDTH"], duplicate_threshold=None)
    assert (built.rows, built.left_out) == (96, 4)
    assert hits.metadata["WIDTH"].to_pylist() == [60]
    listed = pq.read_table(tmp_path / "index" / "left_out").to_pylist()
    assert [(row["source_row"], row["WIDTH"]) for row in listed] == [
        (n, n) for n in (3, 50, 98, 99)
    ]
    assert left_out_rows(tmp_path / "index", 2) == [
        "http://a.example/3.jpg (row 3)",
        "http://a.example/50.jpg (row 50)",
    ]


class StoppedError(Exception):
    """What a test stops a build with."""


def test_a_stopped_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that is stopped reads on where it was, and ends as if nothing had happened."""
    monkeypatch.setattr(Staging.fill, "__defaults__", (300,))
    source = from_parquet(tmp_path)
    whole = tmp_path / "whole"
    build_index(source, whole, BuildOptions())
    started: list[int] = []
    read = VectorSource.portions

    def stopping(self: VectorSource, size: int, start: int = 0) -> Iterator[Portion]:
        started.append(start)
        for number, portion in enumerate(read(self, size, start)):
            if start == 0 and number == 3:
                raise StoppedError
            yield portion

    monkeypatch.setattr(VectorSource, "portions", stopping)
    with pytest.raises(StoppedError):
        build_index(source, tmp_path / "index", BuildOptions())
    half = tmp_path / "index.building" / "img_emb" / "img_emb_00002.npy"
    half.unlink()  # as if it had been stopped between the two files of a pair
    assert not (tmp_path / "index").exists()

    build_index(source, tmp_path / "index", BuildOptions())

    assert started == [0, 600]
    assert not (tmp_path / "index.building").exists()
    for name in ("image.index", *(f"metadata/metadata_0000{i}.parquet" for i in range(7))):
        assert (tmp_path / "index" / name).read_bytes() == (whole / name).read_bytes()


def test_another_source_starts_afresh(tmp_path: Path) -> None:
    """What a stopped build of another source left is not mixed in."""
    staging = Staging(tmp_path / "index.building")
    staging.fill(from_parquet(tmp_path))
    table = METADATA.slice(0, 500).append_column("v", lists_of(VECTORS[500:1000]))
    pq.write_table(table, tmp_path / "other.parquet")

    built = build_index(open_source(tmp_path / "other.parquet"), tmp_path / "index", BuildOptions())

    assert built.rows == 500


def test_a_source_that_was_edited_is_another_one(tmp_path: Path) -> None:
    """Also where one vector of a large file changed, which no sample of it covers."""
    rows = 20_000
    for name in ("img_emb", "metadata"):
        (tmp_path / name).mkdir()
    vectors = tmp_path / "img_emb" / "img_emb_0.npy"
    np.save(vectors, np.ones((rows, 32), np.float32))
    os.utime(vectors, ns=(0, 0))  # clocks of file systems are coarse
    pq.write_table(pa.table({"url": ["u"] * rows}), tmp_path / "metadata" / "metadata_0.parquet")
    before = open_source(tmp_path).identity
    assert open_source(tmp_path).identity == before

    edited = np.load(vectors, mmap_mode="r+")
    edited[800] = 2
    edited.flush()

    assert open_source(tmp_path).identity != before


def test_a_build_whose_state_was_cut_off_starts_afresh(tmp_path: Path) -> None:
    """As when the disk was full: nobody knows what the rest is of."""
    source = from_parquet(tmp_path)
    Staging(tmp_path / "index.building").fill(source)
    (tmp_path / "index.building" / "state.json").write_text('{"iden')

    assert build_index(source, tmp_path / "index", BuildOptions()).rows == ROWS


@pytest.mark.parametrize("layout", ["parquet", "npz", "dataset"])
def test_other_vectors_of_the_same_files_are_another_source(tmp_path: Path, layout: str) -> None:
    """What a stopped build has of one column is not mixed with another, of the same dimension."""
    columns = {"url": METADATA["URL"], "a": lists_of(VECTORS), "b": lists_of(-VECTORS)}
    if layout == "dataset":
        write_dataset(pa.table(columns), tmp_path, metadata={n: {"dimension": 16} for n in "ab"})
        (source,) = tmp_path.rglob("manifest.json")
    else:
        source = tmp_path / "source"
        source.mkdir()
        pq.write_table(pa.table(columns), source / "0.parquet")
    if layout == "npz":
        np.savez(source / "0.npz", a=VECTORS, b=-VECTORS)
    Staging(tmp_path / "index.building").fill(open_source(source, vectors="a"))

    build_index(open_source(source, vectors="b"), tmp_path / "index", BuildOptions())

    index = IndexFolder(tmp_path / "index").open()
    hits = index.search(-UNIT[:1], 1, columns=[], duplicate_threshold=None)
    assert hits.similarity[0] == pytest.approx(1, abs=1e-3)


def move_the_folder(images: Path) -> Path:
    """Give the folder another name."""
    return images.rename(images.with_name("moved"))


def move_one_below(images: Path) -> Path:
    """Give a folder in it another name."""
    (images / "x").rename(images / "y")
    return images


def correct_a_caption(images: Path) -> Path:
    """Change the text beside an image."""
    (images / "x" / "a.txt").write_text("a noise")
    return images


@pytest.mark.parametrize("change", [move_the_folder, move_one_below, correct_a_caption])
def test_images_whose_metadata_changed_are_another_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], Path]
) -> None:
    """A stopped build starts afresh, and says so; its index speaks of no place that is gone."""
    from image_toolkit.retrieval.build.image_source import ImageFolderSource  # noqa: PLC0415
    from tests.tiny_models import make_model  # noqa: PLC0415

    model = str(make_model("clip", tmp_path / "clip"))
    images = tmp_path / "images"
    (images / "x").mkdir(parents=True)
    for name in "ab":
        noise = np.random.default_rng(ord(name)).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(images / "x" / f"{name}.jpg")
    (images / "x" / "a.txt").write_text("noise")
    Staging(tmp_path / "index.building").fill(ImageFolderSource(images, model).open())

    now = change(images)
    build_index(ImageFolderSource(now, model).open(), tmp_path / "index", BuildOptions())

    assert "is of another source; starting afresh" in caplog.text
    row, _ = IndexFolder(tmp_path / "index").open().metadata([0, 1]).to_pylist()
    assert Path(row["image_path"]).is_file()
    assert row["url"] == Path(row["image_path"]).as_uri()
    assert row["caption"] == Path(row["image_path"]).with_suffix(".txt").read_text()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A folder that holds something already is left alone."""
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "notes.txt").touch()

    with pytest.raises(InputDataError, match="index is not empty; name another folder"):
        build_index(from_parquet(tmp_path), tmp_path / "index", BuildOptions())


def break_nothing(folder: Path) -> VectorSource:
    """A path that does not exist."""
    return open_source(folder / "missing")


def break_empty(folder: Path) -> VectorSource:
    """A folder with nothing to index."""
    return open_source(folder)


def break_pair(folder: Path) -> VectorSource:
    """DataComp's vectors without their metadata."""
    np.savez(folder / "0.npz", l14_img=VECTORS)
    return open_source(folder)


def break_key(folder: Path) -> VectorSource:
    """DataComp's vectors, with no word on which."""
    np.savez(folder / "0.npz", l14_img=VECTORS, b32_img=VECTORS)
    pq.write_table(METADATA, folder / "0.parquet")
    return open_source(folder)


def break_column(folder: Path) -> VectorSource:
    """A column that is not there."""
    return open_source(parquet(folder), vectors="clip")


def break_field(folder: Path) -> VectorSource:
    """A dataset without vectors."""
    manifest = write_dataset(pa.table({"image_url": ["u"]}), folder)
    return open_source(Path(manifest.location))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (break_nothing, "there is no {folder}/missing."),
        (break_empty, "{folder}: has no vectors: no .npy, .npz or Parquet files, and no "),
        (break_pair, "{folder}/0.npz: its metadata, 0.parquet, is not beside it."),
        (
            break_key,
            "{folder}/0.npz: say with --vectors which of its arrays to index: l14_img, b32_img.",
        ),
        (break_column, "{folder}/part-0.parquet: needs a column of float lists named 'clip'; "),
        (
            break_field,
            (
                "{folder}/pipeline/given/0000000000000000/manifest.json: the dataset has no "
                "field 'embedding' of vectors. It has: image_url."
            ),
        ),
    ],
)
def test_sources_that_are_refused(
    tmp_path: Path, break_it: Callable[[Path], VectorSource], message: str
) -> None:
    """What cannot be indexed is reported, with what there is instead."""
    with pytest.raises(InputDataError) as error:
        break_it(tmp_path)

    assert str(error.value).startswith(message.format(folder=tmp_path))


def test_images_are_embedded_on_the_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder of images becomes an index; files that are no images are left out and told.

    Images are those that load_from_hub knows: by all suffixes, or by first bytes.
    """
    from image_toolkit.retrieval.build.image_source import ImageFolderSource  # noqa: PLC0415
    from tests.tiny_models import make_model  # noqa: PLC0415

    model = make_model("clip", tmp_path / "clip")
    images = tmp_path / "images"
    (images / "sub dir").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "sub dir/c.jpg"):
        Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(images / name)
    (images / "a.txt").write_text("an a\n")
    (images / "broken.jpg").write_text("<html>")
    (images / "._a.jpg").write_bytes(b"\x00\x05\x16\x07")
    (images / "c.jpg_large").write_bytes((images / "a.jpg").read_bytes())
    Image.open(images / "a.jpg").save(images / os.fsdecode(b"d\xff.AVIF"), "AVIF")
    (images / "folder.jpg").mkdir()
    (images / "linked").symlink_to(tmp_path)
    for name in ("b.csv", "c.csv", "lonely.txt", "README"):
        (images / name).write_text("x")

    source = ImageFolderSource(images, str(model), url_prefix="https://host.example/i/").open()
    built = build_index(source, tmp_path / "index", BuildOptions())

    index = IndexFolder(tmp_path / "index").open()
    rows = index.metadata([0, 1, 2, 3, 4]).to_pylist()
    assert (built.rows, built.left_out) == (5, 1)
    assert [row["url"] for row in rows] == [
        "https://host.example/i/a.jpg",
        "https://host.example/i/b.png",
        "https://host.example/i/c.jpg_large",
        "https://host.example/i/d%FF.AVIF",
        "https://host.example/i/sub%20dir/c.jpg",
    ]
    assert rows[3]["image_path"].endswith("/d\\xff.AVIF")
    assert [row["caption"] for row in rows] == ["an a", None, None, None, None]
    told = "1 .txt, 1 hidden or the system's own, 1 linked folder, 1 without a suffix"
    assert f"{images}: left out, as no images: 2 .csv, {told}" in caplog.text
    assert left_out_rows(tmp_path / "index", 9) == [f"{images}/broken.jpg (row 2)"]
    assert f"{images}/broken.jpg: left out, not_an_image: " in caplog.text
    assert str(index.info.model_id).startswith("hf_clip:")


@pytest.mark.parametrize(
    ("rows", "dimension", "gigabytes", "kind", "key"),
    [
        (1000, 512, 4, "flat", "Flat"),
        (100_000, 512, 4, "flat", "Flat"),
        (1_000_000, 512, 4, "hnsw", "HNSW16,Flat"),
        (1_000_000, 768, 2, "ivf_pq", "IVF2000,PQ384x4fsr,Refine(SQ8)"),
        (50_000_000, 512, 8, "ivf_pq", "IVF14142,PQ256x4fsr,Refine(SQ8)"),
    ],
)
def test_the_kind_suits_the_size(
    rows: int, dimension: int, gigabytes: float, kind: str, key: str
) -> None:
    """Few vectors are searched exactly, more through a graph, and those too many as codes."""
    chosen = choose_kind(rows, dimension, int(gigabytes * 2**30))

    assert (chosen.name, chosen.factory_key) == (kind, key)


def test_codes_need_vectors_to_learn_from() -> None:
    """An ivf_pq index of a few vectors is refused with a reason."""
    with pytest.raises(InputDataError) as error:
        named_kind("ivf_pq", 100, 512, 2**32)

    assert str(error.value) == (
        "an ivf_pq index needs at least 624 vectors of a dimension that 8 divides, not 100 of 512. "
        "Choose flat or hnsw."
    )


def test_recall_is_the_share_found() -> None:
    """Recall counts true neighbours that were found, in any order."""
    found, true = np.array([[1, 2, -1], [4, 5, 6]]), np.array([[2, 3, 1], [6, 5, 4]])

    assert recall(found, true) == pytest.approx(5 / 6)
    assert recall(found[:0], true[:0]) == 1


def test_an_index_that_does_not_fit_fails_its_check(tmp_path: Path) -> None:
    """A check finds vectors that are not those of the index."""
    build_index(from_parquet(tmp_path), tmp_path / "index", BuildOptions(keep_vectors=True))
    shutil.rmtree(tmp_path / "index" / "img_emb")
    (tmp_path / "index" / "img_emb").mkdir()
    np.save(tmp_path / "index" / "img_emb" / "img_emb_0.npy", VECTORS[:10])

    with pytest.raises(InputDataError, match="10 vectors, but the index has 2000 rows"):
        list(check_index(IndexFolder(tmp_path / "index")))
