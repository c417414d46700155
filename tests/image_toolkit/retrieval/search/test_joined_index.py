"""Several index folders are searched as one, with the results of one index of all rows."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.cli import main
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import run_component
from image_toolkit.retrieval.build.check_index import check_index
from image_toolkit.retrieval.hub.needed_files import SEARCHED, needed_files
from image_toolkit.retrieval.search.hits import Hits
from image_toolkit.retrieval.search.index_folder import IndexFolder
from tests.image_toolkit.retrieval.conftest import random_vectors

ROOT = Path(__file__).parents[4]
ROWS, DIMENSION, PARTS = 1500, 16, 3
MODEL = "openai/clip-vit-base-patch32"
COLUMNS = ("url", "caption")


VECTORS, QUERIES = random_vectors(ROWS, seed=0), random_vectors(20, seed=1)
VECTORS[1400] = VECTORS[3] + 0.001 * VECTORS[7]  # nearly a copy, in another part


def lists_of(vectors: np.ndarray) -> pa.Array:
    """Vectors as an Arrow column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of all rows, `whole`, and one of parts, `parts`, from one source."""
    folder = tmp_path_factory.mktemp("joined")
    urls = [f"http://a.example/{i}.jpg" for i in range(ROWS)]
    table = pa.table({"url": urls, "caption": [f"picture {i}" for i in range(ROWS)]})
    table = table.append_column("embedding", lists_of(VECTORS))
    pq.write_table(table, folder / "source.parquet", row_group_size=100)
    command = ["index", "build", str(folder / "source.parquet")]
    options = ["--model-id", MODEL, "--keep-vectors"]
    assert main([*command, str(folder / "whole"), *options]) == 0
    for part in range(1, PARTS + 1):
        words = [str(folder / "parts" / f"part-{part}"), "--part", f"{part}/{PARTS}"]
        assert main([*command, *words, *options]) == 0
    assert main(["index", "join", str(folder / "parts")]) == 0
    return folder


@pytest.fixture
def parts(built: Path, tmp_path: Path) -> Path:
    """A copy of the parts, to be harmed."""
    return Path(shutil.copytree(built / "parts", tmp_path / "parts"))


def found(folder: Path, count: int, threshold: float | None = None) -> Hits:
    """What an index finds, with the vectors."""
    index = IndexFolder(folder).open()
    return index.search(
        QUERIES, count, columns=COLUMNS, duplicate_threshold=threshold, with_vectors=True
    )


@pytest.mark.parametrize("count", [10, 700])
@pytest.mark.parametrize("threshold", [None, 0.94])
def test_parts_find_what_the_whole_finds(built: Path, count: int, threshold: float | None) -> None:
    """The same rows with their own metadata, more than a part has, too.

    They come in the same order, but for cosines that are equal up to rounding.
    """
    whole, joined = (found(built / name, count, threshold) for name in ("whole", "parts"))
    order = [np.lexsort((hits.index_id, hits.query)) for hits in (whole, joined)]
    assert np.array_equal(joined.query, whole.query)
    assert np.array_equal(joined.index_id[order[1]], whole.index_id[order[0]])
    assert np.allclose(joined.similarity, whole.similarity, atol=1e-6)
    assert np.allclose(joined.vectors, VECTORS[joined.index_id], atol=0.002)
    assert joined.metadata["caption"].to_pylist() == [f"picture {i}" for i in joined.index_id]
    if count == 10:
        assert np.array_equal(joined.index_id, whole.index_id)
    assert {*(joined.index_id * PARTS // ROWS).tolist()} == {*range(PARTS)}


def test_a_copy_in_another_part_is_one(built: Path) -> None:
    """Near-duplicates are told across parts."""
    index = IndexFolder(built / "parts").open()
    options = {"columns": COLUMNS, "duplicate_threshold": 0.999}
    assert index.search(VECTORS[[3]], 5, **options).index_id.tolist().count(1400) == 0
    options["duplicate_threshold"] = None
    assert index.search(VECTORS[[3]], 5, **options).index_id.tolist()[:2] == [3, 1400]


def test_the_step_searches_parts(built: Path, tmp_path: Path) -> None:
    """laion_retrieval gives the same dataset for parts as for the whole."""
    table = pa.table({"embedding": lists_of(QUERIES)})
    made = {"embedding": {"model_id": MODEL, "dimension": DIMENSION}}
    component = ROOT / "components" / "laion_retrieval"
    tables = [
        run_component(
            component, table, tmp_path / name, metadata=made, index=str(built / name), num_images=5
        ).table.drop_columns(["index_fingerprint", "similarity"])
        for name in ("whole", "parts")
    ]
    assert len(tables[0]) > len(QUERIES)
    assert tables[0].equals(tables[1])


def test_parts_are_checked(built: Path) -> None:
    """A check names the parts, proves their rows and measures the recall of all."""
    lines = [*check_index(IndexFolder(built / "parts"))]
    assert [line.split()[1] for line in lines if line.startswith("part ")] == [
        str(built / "parts" / f"part-{number}") for number in (1, 2, 3)
    ]
    told = dict(line.split(None, 1) for line in lines)
    assert told["rows"] == f"{ROWS}, each with its metadata"
    assert told["model"] == "'ViT-B/32'"
    assert told["pairing"] == "200 of 200 vectors found at their own rows"
    assert float(told["recall@10"]) == 1


def of_another_model(parts: Path) -> str:
    """One part says another model."""
    _say(parts / "part-2", "openai/clip-vit-large-patch14")
    return "part-2: 16 dimensions, model 'ViT-L/14'"


def of_no_model(parts: Path) -> str:
    """One part does not say its model."""
    (parts / "part-2" / "indices_paths.json").unlink()
    (parts / "part-2" / "image.json").unlink()
    return "part-2: 16 dimensions, model not said"


def of_another_dimension(parts: Path) -> str:
    """One part has shorter vectors."""
    shutil.rmtree(parts / "part-2" / "img_emb")
    (parts / "part-2" / "image.index").unlink()
    (parts / "part-2" / "img_emb").mkdir()
    np.save(parts / "part-2" / "img_emb" / "img_emb_00000.npy", VECTORS[:500, :8])
    return "part-2: 8 dimensions"


def of_another_column(parts: Path) -> str:
    """One part has its URLs elsewhere."""
    file = next((parts / "part-2" / "metadata").iterdir())
    pq.write_table(pq.read_table(file).rename_columns({"url": "link"}), file)
    return "URLs in link"


@pytest.mark.parametrize(
    "harm", [of_another_model, of_no_model, of_another_dimension, of_another_column]
)
def test_parts_that_do_not_fit(parts: Path, harm: Callable[[Path], str]) -> None:
    """Parts of several models, dimensions or columns are refused, all said in one message."""
    told = harm(parts)
    with pytest.raises(InputDataError, match="its parts cannot be searched as one") as error:
        IndexFolder(parts).open()
    assert told in str(error.value)
    assert "part-1: 16 dimensions, model 'ViT-B/32'" in str(error.value)


def _say(part: Path, model: str) -> None:
    listing = {"index": {"indice_folder": str(part), "clip_model": "ViT-L/14"}}
    (part / "indices_paths.json").write_text(json.dumps(listing))
    about = json.loads((part / "image.json").read_bytes())
    (part / "image.json").write_text(json.dumps({**about, "model_id": model, "weights": None}))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"parts": []}', "names no parts"),
        ('{"parts": 3}', "must be JSON of the form"),
        ("[]", "must be JSON of the form"),
        ('{"parts": ["part-1", "part-9"]}', "there is no .*part-9"),
        ('{"parts": ["part-1", "../elsewhere"]}', "lies outside of"),
        ('{"parts": ["part-1", "."]}', "is no part of"),
    ],
)
def test_lists_of_parts_that_are_refused(parts: Path, content: str, told: str) -> None:
    """A list that names what is not there, or elsewhere, is not half believed."""
    shutil.copytree(parts / "part-1", parts.parent / "elsewhere")
    (parts / "parts.json").write_text(content)
    with pytest.raises(InputDataError, match=told):
        IndexFolder(parts).open()


def test_metadata_of_parts_is_their_own(parts: Path) -> None:
    """Metadata cannot be named apart for all parts at once."""
    with pytest.raises(InvalidArgumentError, match="metadata: the parts of"):
        IndexFolder(parts, metadata=parts / "part-1" / "metadata").open()


def test_what_is_not_joined(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not finished, or nothing, is not joined; the list there is stays as it was."""
    (tmp_path / "empty").mkdir()
    assert main(["index", "join", str(tmp_path / "empty")]) == 1
    assert "has no folders to search as one" in capsys.readouterr().err
    before = (parts / "parts.json").read_bytes()
    (parts / "part-2").rename(tmp_path / "part-2")
    assert main(["index", "join", str(parts)]) == 1
    assert "of 3 parts, 2 are not here" in capsys.readouterr().err
    (tmp_path / "part-2").rename(parts / "part-2")
    (parts / "part-4.building").mkdir()
    assert main(["index", "join", str(parts)]) == 1
    assert "part-4.building: this part is not finished" in capsys.readouterr().err
    assert (parts / "parts.json").read_bytes() == before


@pytest.mark.parametrize("word", ["0/3", "4/3", "a/3", "3"])
def test_part_of_nothing(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A part that is none is wrong usage."""
    with pytest.raises(SystemExit):
        main(["index", "build", "a", "b", "--part", word])
    assert f"must be one part of several, such as 3/20, not '{word}'" in capsys.readouterr().err


def test_more_parts_than_the_source_has(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A source is not cut finer than it is written."""
    source = str(built / "source.parquet")
    assert main(["index", "build", source, str(tmp_path / "i"), "--part", "1/99"]) == 2
    assert (
        "--part 1/99: nothing of the source is in it. Take fewer parts." in capsys.readouterr().err
    )


def test_the_files_of_parts_on_the_hub() -> None:
    """Of parts on the hub, what a search reads is fetched of each."""
    sizes = dict.fromkeys(
        [
            "parts.json",
            "README.md",
            *(f"part-{n}/{name}" for n in (1, 2) for name in ("image.json", "notes.txt")),
            "part-1/image.index",
            "part-2/image.index/populated.index",
            "part-1/metadata/metadata_0.parquet",
        ],
        1,
    )
    needed = needed_files(sizes, SEARCHED, "image")
    assert {*sizes} - {*needed} == {"README.md", "part-1/notes.txt", "part-2/notes.txt"}
