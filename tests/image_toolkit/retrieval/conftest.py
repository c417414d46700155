"""A small index in clip-retrieval's layout, whose correct answers plain NumPy can compute."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS, DIMENSION = 600, 16
MODEL = "openai/clip-vit-base-patch32"


@dataclass(frozen=True)
class Fixture:
    """The folder of an index, and what is in it."""

    folder: Path
    vectors: np.ndarray
    metadata: pa.Table

    def nearest(self, query: np.ndarray, count: int) -> list[int]:
        """Return the true nearest rows."""
        return np.argsort(-(self.vectors @ query), kind="stable")[:count].tolist()


def random_vectors(rows: int, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    """Vectors of length 1."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def metadata_of(rows: int) -> pa.Table:
    """Metadata as LAION has it; one row in fifty is unsafe, one has a watermark."""
    return pa.table(
        {
            "url": [f"http://host{i % 7}.example/{i}.jpg" for i in range(rows)],
            "caption": [f"picture {i}" for i in range(rows)],
            "width": [100 + i for i in range(rows)],
            "punsafe": [0.9 if i % 50 == 49 else 0.1 for i in range(rows)],
            "pwatermark": [0.95 if i % 50 == 48 else 0.1 for i in range(rows)],
        },
    )


def write_index(folder: Path, vectors: np.ndarray, metadata: pa.Table, files: int = 3) -> Fixture:
    """Write vectors and metadata as clip-retrieval does, spread over some files."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    bounds = np.linspace(0, len(vectors), files + 1).astype(int)
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors[start:end])
        part = metadata.slice(start, end - start)
        pq.write_table(part, folder / "metadata" / f"metadata_{number}.parquet", row_group_size=64)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "image.index"))
    listing = {"small": {"indice_folder": str(folder), "clip_model": "ViT-B/32"}}
    (folder / "indices_paths.json").write_text(json.dumps(listing))
    return Fixture(folder, vectors, metadata)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Search in one thread: on small data, threads of FAISS wait longer than they work."""
    faiss.omp_set_num_threads(1)


@pytest.fixture(scope="session")
def small_index(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    """An index of random vectors; row 5 has the vector of row 4, row 7 the URL of row 6."""
    vectors = random_vectors(ROWS)
    vectors[5] = vectors[4]
    metadata = metadata_of(ROWS)
    urls = metadata["url"].to_pylist()
    urls[7] = urls[6].replace("http://host6", "HTTP://HOST6") + "#top"
    metadata = metadata.set_column(0, "url", pa.array(urls))
    return write_index(tmp_path_factory.mktemp("small") / "index", vectors, metadata)
