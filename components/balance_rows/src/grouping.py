"""Grouping of rows: by the values of a field, by hosts of URLs, or by clusters of vectors."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import faiss
import numpy as np
import numpy.typing as npt

_HOST: Final = re.compile(r"host\((.+)\)")
_ROUNDS: Final = 20
_SEED: Final = 0


def field_of(by: str) -> tuple[str, bool]:
    """Return the field that rows are grouped by, and whether by its hosts."""
    match = _HOST.fullmatch(by.strip())
    return (match[1].strip(), True) if match else (by.strip(), False)


def host_of(url: Any) -> str | None:
    """Return the host of a URL, without www; None if it has none."""
    try:
        host = urlsplit(str(url)).hostname if url is not None else None
    except ValueError:
        return None
    return host.removeprefix("www.") if host else None


def clusters(vectors: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each unit vector by spherical k-means; deterministic."""
    # FAISS warns about too few points per centroid, which is unavoidable with few rows.
    means = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=_ROUNDS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
    )
    means.train(vectors)
    _, nearest = means.index.search(vectors, 1)
    found: npt.NDArray[np.int64] = nearest[:, 0].astype(np.int64)
    return found
