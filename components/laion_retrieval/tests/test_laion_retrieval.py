"""LAION retrieval, run as runners run it."""

import functools
import json
import operator
import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.errors import FondantError, InputDataError, InvalidArgumentError
from fondant_spec.testing import Result, run_component, write_dataset
from image_toolkit.retrieval.build.build_index import BuildOptions, build_index
from image_toolkit.retrieval.build.image_source import ImageFolderSource
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.service.index_server import Server
from tests.image_toolkit.retrieval.clip_models import another_clip
from tests.image_toolkit.retrieval.service.faulty_service import (
    FaultyService,
    for_query,
    serving,
    status,
)
from tests.image_toolkit.retrieval.service.serving import serve_index

COMPONENT = Path(__file__).parents[1]
ROWS, DIMENSION = 300, 8
_COMPARED = ("index_id", "similarity")
MADE_BY = {"model_id": "openai/clip-vit-base-patch32", "dimension": DIMENSION}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip-retrieval folder; rows 1 and 2 show one image under two URLs, row 3 is unsafe."""
    folder = tmp_path_factory.mktemp("laion") / "index"
    (folder / "metadata").mkdir(parents=True)
    (folder / "img_emb").mkdir()
    vectors = np.random.default_rng(0).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    vectors[2] = vectors[1]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    metadata = {
        "URL": [f"https://host.example/{i}.jpg" for i in range(ROWS)],
        "TEXT": [f"picture {i}" for i in range(ROWS)],
        "WIDTH": list(range(ROWS)),
        "license": [None if i % 2 else "CC0" for i in range(ROWS)],
        "punsafe": [float(i == 3) for i in range(ROWS)],
    }
    pq.write_table(pa.table(metadata), folder / "metadata" / "metadata_0.parquet")
    np.save(folder / "img_emb" / "img_emb_0.npy", vectors)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors)
    faiss.write_index(flat, str(folder / "image.index"))
    listing = {"small": {"indice_folder": str(folder), "clip_model": "ViT-B/32"}}
    (folder / "indices_paths.json").write_text(json.dumps(listing))
    return folder


def seeds(vectors: np.ndarray | list[Any]) -> pa.Table:
    """A table of seeds with these vectors."""
    rows = [None if v is None else list(map(float, v)) for v in vectors]
    return pa.table({"embedding": pa.array(rows, pa.list_(pa.float32()))})


def retrieve(table: pa.Table, tmp_path: Path, **arguments: Any) -> Result:
    """Run the component over seeds that CLIP ViT-B/32 has made."""
    made_by = arguments.pop("metadata_of_field", MADE_BY)
    return run_component(COMPONENT, table, tmp_path, metadata={"embedding": made_by}, **arguments)


@pytest.fixture(scope="module")
def vectors(index: Path) -> np.ndarray:
    """The vectors of the index."""
    return np.load(index / "img_emb" / "img_emb_0.npy")


@pytest.mark.parametrize("layout", ["", "img_emb", "indices_paths.json"])
def test_nearest_images(index: Path, vectors: np.ndarray, tmp_path: Path, layout: str) -> None:
    """Each seed gets its nearest images, with everything that says where they come from."""
    said = {"index_model_id": MADE_BY["model_id"]} if layout == "img_emb" else {}
    found = retrieve(
        seeds(vectors[[10, 20]]), tmp_path, index=str(index / layout), num_images=3, **said
    )

    rows = found.table.to_pylist()
    expected = [np.argsort(-(vectors @ vectors[i]))[:3].tolist() for i in (10, 20)]
    assert [row["index_id"] for row in rows] == functools.reduce(operator.iadd, expected, [])
    assert [row["rank"] for row in rows] == [0, 1, 2, 0, 1, 2]
    assert rows[0] == {
        "id": "000000000000-00000",
        "seed_id": "000000000000",
        "image_url": "https://host.example/10.jpg",
        "similarity": pytest.approx(1, abs=1e-5),
        "rank": 0,
        "images_wanted": 3,
        "index_id": 10,
        "index_fingerprint": IndexFolder(index / layout).open().info.fingerprint,
        "alt_text": "picture 10",
        "seed_ids": ["000000000000"],
    }
    assert found.manifest.fields["similarity"].type == pa.float32()


def test_metadata_columns_that_the_step_asks_for(
    index: Path, vectors: np.ndarray, tmp_path: Path
) -> None:
    """Any column of the index's metadata comes along when the step names it."""
    found = retrieve(
        seeds(vectors[[10]]),
        tmp_path,
        index=str(index),
        options={"produces": '{"WIDTH": "int32", "license": "string"}'},
    )

    ids = found.table["index_id"].to_pylist()
    assert found.table["WIDTH"].to_pylist() == ids
    assert found.table["license"].to_pylist() == [None if i % 2 else "CC0" for i in ids]


def test_an_image_comes_once_across_seeds(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """An image that several seeds find is one row, with the nearest seed first; none is lost."""
    near = vectors[10] + 0.05 * vectors[11]
    table = seeds([near, vectors[10], vectors[200]])

    found = retrieve(table, tmp_path, index=str(index), num_images=5)

    ids = found.table["index_id"].to_pylist()
    assert len(ids) == len(set(ids))
    best = found.table.to_pylist()[ids.index(10)]
    assert best["seed_id"] == "000000000001"
    assert best["seed_ids"] == ["000000000001", "000000000000"]
    rejects = found.rejects.to_pylist()
    assert len(ids) + len(rejects) == 15
    assert {(r["reason"], r["filtered"]) for r in rejects} == {("duplicate_url", True)}
    assert rejects[0]["message"] == "the same image as 000000000001-00000"
    assert sum(len(row) for row in found.table["seed_ids"].to_pylist()) == 15


def test_spare_images(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """Spare images follow those that are wanted, and take none of another seed's away."""
    others = np.random.default_rng(1).standard_normal((1000, DIMENSION)).astype(np.float32)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    nearest, to_seed = np.argmax(others @ vectors.T, axis=1), vectors @ vectors[10]
    spares = np.argsort(-to_seed)[1:9]
    farther = np.einsum("ij,ij->i", others, vectors[nearest]) < to_seed[nearest]
    other = np.flatnonzero(np.isin(nearest, spares) & (nearest > 3) & farther)[0]
    spare = nearest[other]  # nearer to the seed that has it as a spare image

    table = seeds([vectors[10], others[other]])
    found = retrieve(table, tmp_path, index=str(index), num_images=1, spares=8).table.to_pylist()

    assert {row["images_wanted"] for row in found} == {1}
    assert sum(len(row["seed_ids"]) for row in found) == 2 * 9
    first = {row["seed_id"]: row["index_id"] for row in found if row["rank"] == 0}
    assert first == {"000000000000": 10, "000000000001": spare}


def test_diverse_images_come_before_spare_ones(
    index: Path, vectors: np.ndarray, tmp_path: Path
) -> None:
    """The images that are wanted are chosen first, and the spare ones among what is left."""
    given = {"index": str(index), "num_images": 4, "diversity": 0.7}
    few = retrieve(seeds(vectors[[10, 20]]), tmp_path / "a", **given).table
    more = retrieve(seeds(vectors[[10, 20]]), tmp_path / "b", spares=0.5, **given).table

    assert more["rank"].to_pylist() == [0, 1, 2, 3, 4, 5] * 2
    for seed in (0, 1):
        ids, similarity = (more[name].to_pylist()[6 * seed : 6 * seed + 6] for name in _COMPARED)
        assert similarity[:4] == sorted(similarity[:4], reverse=True)
        assert similarity[4:] == sorted(similarity[4:], reverse=True)
        assert ids[0] == few["index_id"][4 * seed].as_py()


def test_partitions_do_not_matter(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """Seeds in many partitions, one of them empty, give what they give in one."""
    from fondant_spec.testing import component_class, read_table  # noqa: PLC0415
    from fondant_spec.worker.run_step import run  # noqa: PLC0415

    table = seeds(np.repeat(vectors[10:16], 2, axis=0))
    whole = retrieve(table, tmp_path / "whole", index=str(index), num_images=4)
    base = tmp_path / "parts"
    dataset = write_dataset(table, base, rows_per_partition=3, metadata={"embedding": MADE_BY})
    argv = ["--base_path", str(base), "--workers", "2", "--input_manifest_path", dataset.location]

    manifest = run(component_class(COMPONENT), [*argv, "--index", str(index), "--num_images", "4"])

    parts = read_table(manifest)
    assert parts.sort_by("id").equals(whole.table.sort_by("id"))


def test_copies_and_unsafe_images_are_left_out(
    index: Path, vectors: np.ndarray, tmp_path: Path
) -> None:
    """A copy under another URL and an unsafe image make room for the next ones."""
    found = retrieve(seeds(vectors[[1, 3]]), tmp_path, index=str(index), num_images=4)

    ids = found.table["index_id"].to_pylist()
    assert len({1, 2} & set(ids)) == 1
    assert 3 not in ids
    asked = retrieve(
        seeds(vectors[[1, 3]]),
        tmp_path / "all",
        index=str(index),
        num_images=4,
        deduplicate=False,
        max_unsafe=1,
    )
    assert {1, 2, 3} <= set(asked.table["index_id"].to_pylist())


def with_verdicts(index: Path, folder: Path, verdicts: pa.Array) -> Path:
    """Return a copy of the index whose column NSFW says of its rows what `verdicts` do."""
    copy = shutil.copytree(index, folder)
    file = copy / "metadata" / "metadata_0.parquet"
    table = pq.read_table(file).drop_columns(["punsafe"])
    pq.write_table(table.append_column("NSFW", verdicts), file)
    listing = {"small": {"indice_folder": str(copy), "clip_model": "ViT-B/32"}}
    (copy / "indices_paths.json").write_text(json.dumps(listing))
    return copy


@pytest.mark.parametrize("kind", ["categories", "views", "truths"])
def test_unsafe_images_in_whatever_type(
    index: Path, vectors: np.ndarray, tmp_path: Path, kind: str
) -> None:
    """An index written by pandas has categories, others have truths or views of texts."""
    is_unsafe = pa.array([number == 3 for number in range(ROWS)])
    words = pa.array(["NSFW" if number == 3 else "UNLIKELY" for number in range(ROWS)])
    verdicts = {
        "categories": words.dictionary_encode(),
        "views": words.cast(pa.string_view()),
        "truths": is_unsafe,
    }[kind]
    copy = with_verdicts(index, tmp_path / "index", verdicts)
    found = retrieve(seeds(vectors[[3]]), tmp_path / "a", index=str(copy), num_images=4)
    assert 3 not in found.table["index_id"].to_pylist()
    found = retrieve(seeds(vectors[[3]]), tmp_path / "b", index=str(copy), max_unsafe=1)
    assert 3 in found.table["index_id"].to_pylist()


def test_verdicts_that_are_no_scores(index: Path, tmp_path: Path) -> None:
    """They are refused before anything is looked up, and by a server that is to serve them."""
    verdicts = pa.array([[0.5]] * ROWS)
    copy = with_verdicts(index, tmp_path / "index", verdicts)
    message = r"column 'NSFW' is of the type list<.*> *, which is no score"
    with pytest.raises(InputDataError, match=message):
        retrieve(seeds([]), tmp_path / "a", index=str(copy))
    with pytest.raises(InputDataError, match=message):
        Server({"small": IndexFolder(copy).open()})


def test_limits_and_block_list(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """Similarity bounds and a block list are kept; a seed left with nothing is reported."""
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("host.example\n")
    near = retrieve(seeds(vectors[[10]]), tmp_path / "a", index=str(index), max_similarity=0.9)
    none = retrieve(
        seeds(vectors[[10]]),
        tmp_path / "b",
        index=str(index),
        min_similarity=0.99,
        max_similarity=0.99,
    )
    gone = retrieve(seeds(vectors[[10]]), tmp_path / "c", index=str(index), block_list=str(blocked))

    assert max(near.table["similarity"].to_pylist()) <= 0.9
    for empty in (none, gone):
        assert len(empty.table) == 0
        assert empty.rejects.to_pylist() == [
            {
                "id": "000000000000",
                "reason": "no_images",
                "message": "the index has none within the limits",
                "attempts": 1,
                "filtered": True,
            }
        ]


def test_aesthetics(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """A score moves the query as clip-retrieval moves it."""
    np.save(tmp_path / "rating9.npy", vectors[40])

    found = retrieve(
        seeds(vectors[[10]]),
        tmp_path,
        index=str(index),
        aesthetic_score=9,
        aesthetic_weight=0.5,
        aesthetic_embeddings=str(tmp_path),
        num_images=4,
    )

    query = vectors[10] + 0.5 * vectors[40]
    query /= np.linalg.norm(query)
    assert found.table["index_id"].to_pylist() == np.argsort(-(vectors @ query))[:4].tolist()


def test_bad_seeds_are_rejected(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """A null, short, holed or zero vector is one reject; the other seeds are unharmed."""
    table = seeds([None, vectors[0][:5], [float("nan")] * DIMENSION, [0.0] * DIMENSION, vectors[0]])

    found = retrieve(table, tmp_path, index=str(index), options={"max_reject_share": "1"})

    assert set(found.table["seed_id"].to_pylist()) == {"000000000004"}
    assert [(r["reason"], r["message"]) for r in found.rejects.to_pylist()] == [
        ("no_embedding", ""),
        ("wrong_dimension", "5 dimensions instead of 8"),
        ("bad_embedding", "not finite, or all zeros"),
        ("bad_embedding", "not finite, or all zeros"),
    ]


def test_no_seeds(index: Path, tmp_path: Path) -> None:
    """No seeds give no images, and no error."""
    assert len(retrieve(seeds([]), tmp_path, index=str(index)).table) == 0


def test_a_service_gives_the_same_rows(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """A service on the same index gives the rows that the folder itself gives."""
    table = seeds(vectors[:40])
    local = retrieve(table, tmp_path / "a", index=str(index), num_images=6)
    with serve_index(index) as url:
        remote = retrieve(table, tmp_path / "b", url=url, num_images=6, queries_per_second=0)

    columns = ["id", "image_url", "rank", "index_id", "index_fingerprint", "alt_text", "seed_ids"]
    assert remote.table.select(columns).equals(local.table.select(columns))
    assert np.allclose(remote.table["similarity"], local.table["similarity"], atol=1e-5)
    assert remote.rejects.equals(local.rejects)


def test_a_query_that_a_service_fails_is_a_reject(tmp_path: Path) -> None:
    """A failed query is reported with its reason and attempts; the step's threshold decides."""
    numbers = np.zeros((4, DIMENSION))
    numbers[:, 0], numbers[:, 1] = np.arange(1, 5) / 1000, 1
    table = seeds(numbers)
    with serving(FaultyService([for_query(2, status(403))])) as url:
        found = retrieve(
            table,
            tmp_path,
            url=url,
            queries_per_second=0,
            options={"max_reject_share": "0.5"},
            metadata_of_field={},
        )
        with pytest.raises(FondantError, match="service_refused"):
            retrieve(
                table,
                tmp_path / "strict",
                url=url,
                queries_per_second=0,
                options={"max_reject_share": "0.1"},
                metadata_of_field={},
            )

    assert found.table["seed_id"].to_pylist() == [f"{i:012d}" for i in (0, 0, 1, 1, 3, 3)]
    rejects = found.rejects.to_pylist()
    assert [(r["id"], r["reason"], r["attempts"]) for r in rejects] == [
        ("000000000002", "service_refused", 1)
    ]


@pytest.mark.parametrize(
    ("made_by", "message"),
    [
        (
            {"model_id": "openai/clip-vit-large-patch14", "dimension": 768},
            (
                "this index holds vectors of 'ViT-B/32', 8 dimensions, but the field `embedding` "
                "holds "
                "vectors of 'openai/clip-vit-large-patch14', 768 dimensions."
            ),
        ),
        (
            {"model_id": "ViT-B/32", "dimension": 768},
            (
                "this index holds vectors of 'ViT-B/32', 8 dimensions, but the field `embedding` "
                "holds "
                "vectors of 'ViT-B/32', 768 dimensions."
            ),
        ),
    ],
)
def test_an_index_of_another_model_is_refused(
    index: Path, vectors: np.ndarray, tmp_path: Path, made_by: dict[str, Any], message: str
) -> None:
    """Vectors of another model or dimension than the index's stop the step, both being named."""
    with pytest.raises(InputDataError) as error:
        retrieve(seeds(vectors[:1]), tmp_path, index=str(index), metadata_of_field=made_by)

    assert message in str(error.value)


def test_an_index_that_does_not_say_its_model_is_refused(
    index: Path, vectors: np.ndarray, tmp_path: Path
) -> None:
    """Vectors alone say nothing of their model; the message has the way to say it."""
    with pytest.raises(InputDataError) as error:
        retrieve(seeds(vectors[:1]), tmp_path, index=str(index / "img_emb"))

    assert str(error.value).startswith(f"{index / 'img_emb'}: this index does not say which model ")
    assert "say so with index_model_id='openai/clip-vit-base-patch32'" in str(error.value)


def test_models_are_compared_by_their_content(tmp_path: Path) -> None:
    """A copy of the index's model is it, under any name; another of the same name is another."""
    photos = tmp_path / "photos"
    photos.mkdir()
    cells = []
    for number in range(6):
        file = photos / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(file)
        cells.append(file.read_bytes())
    source = ImageFolderSource(photos, str(CLIP_FOLDER)).open()
    build_index(source, tmp_path / "index", BuildOptions())
    copy = shutil.copytree(CLIP_FOLDER, tmp_path / "renamed")
    other = another_clip(tmp_path / "other" / CLIP_FOLDER.name)

    def looked_up(model: Path) -> list[str]:
        embedded = run_component(
            COMPONENT.parent / "image_embedding",
            pa.table({"image": cells}),
            tmp_path / f"by-{model.parent.name}-{model.name}",
            model_id=str(model),
        )
        made_by = embedded.manifest.fields["embedding"].metadata
        found = retrieve(
            embedded.table.select(["embedding"]),
            tmp_path / f"hits-{model.parent.name}-{model.name}",
            metadata_of_field=made_by,
            index=str(tmp_path / "index"),
            num_images=1,
            deduplicate=False,
        )
        return [row["image_url"].rpartition("/")[2] for row in found.table.to_pylist()]

    assert looked_up(copy) == [f"{number}.png" for number in range(6)]
    with pytest.raises(InputDataError, match=r"holds vectors of 'clip' \(weights sha256:"):
        looked_up(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "index, url: name either an `index` or the `url` of a service. (LAION's own"),
        ({"index": "/x", "url": "http://x"}, "index, url: name either an `index` or"),
        ({"index": "/x", "num_images": 0}, "'num_images' must be at least 1, not 0."),
        ({"index": "/x", "aesthetic_score": 9}, "aesthetic_score: this index needs"),
        ({"index": "/x", "aesthetic_score": 12}, "'aesthetic_score' must be from 0 to 9, not 12."),
        ({"url": "http://x", "duplicate_threshold": 0.9}, "duplicate_threshold: a service has"),
        ({"url": "ftp://x"}, "'url' must be a text of the form https?://.+, not 'ftp://x'."),
        ({"url": "http://x", "retries": -1}, "'retries' must be at least 0, not -1."),
        ({"url": "http://x", "timeout": 0}, "'timeout' must be at least 0.001, not 0.0."),
        ({"index": "/x", "duplicate_threshold": 5}, "must be from 0 to 1, not 5.0."),
        ({"index": "/x", "modality": "audio"}, "must be one of 'image', 'text', not 'audio'."),
        ({"index": "/x", "min_similarity": 0.5, "max_similarity": 0.4}, "min_similarity (0.5)"),
    ],
)
def test_arguments_that_are_refused(
    vectors: np.ndarray, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    """Arguments that cannot work are refused, with what to do."""
    with pytest.raises(InvalidArgumentError) as error:
        retrieve(seeds(vectors[:1]), tmp_path, **arguments)

    assert message in str(error.value)


def test_a_column_that_the_index_lacks(index: Path, vectors: np.ndarray, tmp_path: Path) -> None:
    """A metadata column that is not there is named, with those that are."""
    with pytest.raises(InvalidArgumentError) as error:
        retrieve(
            seeds(vectors[:1]),
            tmp_path,
            index=str(index),
            options={"produces": '{"height": "int32"}'},
        )

    assert str(error.value) == (
        "the index has no metadata column 'height'. It has: URL, TEXT, WIDTH, license, punsafe."
    )


def test_images_of_a_class_are_told_and_are_none_to_train_on(index, vectors, tmp_path):
    """A seed of a class finds as many as it is to, called by the class; not what others found."""
    table = seeds(vectors[[10, 11, 20]])
    prompts = pa.array([None, "a dog", " "], pa.string())
    found = retrieve(
        table.append_column("class_prompt", prompts),
        tmp_path,
        index=str(index),
        num_images=3,
        class_images=ROWS,
        options={"produces": json.dumps({"class_prompt": "string"})},
    )
    rows = found.table.to_pylist()
    to_train = {row["image_url"] for row in rows if row["class_prompt"] is None}
    of_class = {row["image_url"] for row in rows if row["class_prompt"] == "a dog"}
    assert len(to_train) == 6
    assert len(of_class) > ROWS - 20
    assert not to_train & of_class
    assert {row["seed_id"] for row in rows if row["class_prompt"]} == {"000000000001"}
    told = "the seeds have a field 'class_prompt', which tells images of the class; say that it is"
    with pytest.raises(FondantError, match=told):
        retrieve(table.append_column("class_prompt", prompts), tmp_path / "2", index=str(index))
