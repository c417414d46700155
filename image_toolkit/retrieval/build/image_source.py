"""A folder of images as the source of an index, embedded with a CLIP model on the way."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.retrieval.build.vector_sources import Portion, Stretch, VectorSource
from image_toolkit.retrieval.search.fingerprint import fingerprint
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.numbered_files import is_apple_double

logger = logging.getLogger(__name__)

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})
_FILES_AT_ONCE: Final = 256
_READ_AT_ONCE: Final = 32


@dataclass(frozen=True)
class ImageFolderSource:
    """Images below a folder; the caption of `a.jpg` is the text of `a.txt`, if there is one.

    Args:
        folder: Where the images lie.
        model_id, revision: The CLIP model to embed them with.
        url_prefix: The address at which the folder is served; without one, URLs are `file:` ones.
    """

    folder: Path
    model_id: str
    revision: str | None = None
    url_prefix: str | None = None

    def open(self) -> VectorSource:
        """Return the source; the model is loaded now.

        Raises:
            InputDataError: there are no images, or the model cannot be had.
        """
        files = sorted(
            file
            for file in self.folder.rglob("*")
            if file.suffix.lower() in SUFFIXES and not is_apple_double(file)
        )
        if not files:
            msg = f"{self.folder}: has no images ({', '.join(sorted(SUFFIXES))})."
            raise InputDataError(msg)
        embedder = Embedder(partial(image_encoder, self.model_id, self.revision))
        embedder.load()
        model = embedder.metadata("image")
        stretches = [
            Stretch(len(part), partial(self._read, part, embedder, model["dimension"]))
            for part in _parts(files, _FILES_AT_ONCE)
        ]
        name = str(model["model_id"])
        identity = f"{fingerprint(files)}-{name}@{model['revision']}"
        return VectorSource(stretches, identity, name)

    def _read(self, files: Sequence[Path], embedder: Embedder, dimension: int) -> Iterator[Portion]:
        yield _embed(files, embedder, dimension), self._metadata(files)

    def _metadata(self, files: Sequence[Path]) -> pa.Table:
        return pa.table(
            {
                "url": pa.array([self._url(file) for file in files], pa.string()),
                "caption": pa.array([_caption(file) for file in files], pa.string()),
                "image_path": pa.array([str(file.resolve()) for file in files], pa.string()),
            }
        )

    def _url(self, file: Path) -> str:
        if self.url_prefix is None:
            return file.resolve().as_uri()
        return f"{self.url_prefix.rstrip('/')}/{quote(file.relative_to(self.folder).as_posix())}"


def _embed(files: Sequence[Path], embedder: Embedder, dimension: int) -> FloatArray:
    """Return the vectors of the files; NaN for those that are no images."""
    vectors = np.full((len(files), dimension), np.nan, np.float32)
    batches = (
        pa.record_batch(
            [[str(file) for file in part], [file.read_bytes() for file in part]],
            names=["id", "image"],
        )
        for part in _parts(files, _READ_AT_ONCE)
    )
    row_of = {str(file): row for row, file in enumerate(files)}
    rejects = Rejects()
    for batch in embedder.batches(batches, "image", rejects):
        rows = [row_of[name] for name in batch.column("id").to_pylist()]
        found = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
        vectors[rows] = found.reshape(len(rows), dimension)
    for reject in rejects.to_table().to_pylist():
        logger.warning("%s: left out, %s: %s", reject["id"], reject["reason"], reject["message"])
    return vectors


def _caption(file: Path) -> str | None:
    text = file.with_suffix(".txt")
    return text.read_text(encoding="utf-8", errors="replace").strip() if text.is_file() else None


def _parts(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
