"""A folder of images as the source of an index, embedded with a CLIP model."""

import hashlib
import logging
import os
from collections import Counter
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
from image_toolkit.images.image_files import (
    START_BYTES,
    has_image_suffix,
    is_of_the_system,
    kind_of,
    starts_as_image,
)
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.retrieval.build.vector_source import Portion, Stretch, VectorSource
from image_toolkit.retrieval.search.fingerprint import state_of
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.model_identity import ModelIdentity
from image_toolkit.text_encodings import caption, printable

logger = logging.getLogger(__name__)

_CAPTION: Final = ".txt"
_FILES_AT_ONCE: Final = 256
_READ_AT_ONCE: Final = 32


@dataclass(frozen=True)
class ImageFolderSource:
    """Images below a folder; the caption of `a.jpg` is the text of `a.txt`, if there is one.

    Images are recognised by name or first bytes. Other files are reported, by suffix.

    Args:
        folder: The folder of the images.
        model_id, revision: The CLIP model to embed them with.
        url_prefix: The URL at which the folder is served; without one, URLs are `file:` URLs.
    """

    folder: Path
    model_id: str
    revision: str | None = None
    url_prefix: str | None = None

    def open(self) -> VectorSource:
        """Return the source; this loads the model.

        Raises:
            InputDataError: there are no images, or the model cannot be loaded.
        """
        files, left_out = _images_below(self.folder)
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))
        if not files:
            msg = f"{self.folder}: has no images{f' ({told})' if told else ''}."
            raise InputDataError(msg)
        if told:
            logger.warning("%s: left out, as no images: %s", self.folder, told)
        embedder = Embedder(partial(image_encoder, self.model_id, self.revision))
        embedder.load()
        model = embedder.metadata("image")
        stretches = [
            Stretch(len(part), partial(self._read, part, embedder, model["dimension"]))
            for part in _parts(files, _FILES_AT_ONCE)
        ]
        identity = f"{self._state(files)}-{model['model_id']}@{model['revision']}"
        dimension = int(model["dimension"])
        own = ModelIdentity.of_field(model)
        return VectorSource(stretches, identity, dimension, own, embedder.close)

    def _state(self, files: Sequence[Path]) -> str:
        """Return a hash that changes with the images, their captions, and their locations."""
        captions = [text for file in files if (text := file.with_suffix(_CAPTION)).is_file()]
        read = [*files, *captions]
        places = [*map(self._url, files), *(printable(file.resolve()) for file in read)]
        digest = hashlib.sha256("\0".join(places).encode()).hexdigest()[:16]
        return f"{state_of(read)}-{digest}"

    def _read(self, files: Sequence[Path], embedder: Embedder, dimension: int) -> Iterator[Portion]:
        yield _embed(files, embedder, dimension), self._metadata(files)

    def _metadata(self, files: Sequence[Path]) -> pa.Table:
        return pa.table(
            {
                "url": pa.array([self._url(file) for file in files], pa.string()),
                "caption": pa.array([_caption(file) for file in files], pa.string()),
                "image_path": pa.array([printable(file.resolve()) for file in files], pa.string()),
            }
        )

    def _url(self, file: Path) -> str:
        if self.url_prefix is None:
            return file.resolve().as_uri()
        return f"{self.url_prefix.rstrip('/')}/{quote(os.fsencode(file.relative_to(self.folder)))}"


def _embed(files: Sequence[Path], embedder: Embedder, dimension: int) -> FloatArray:
    """Return the vectors of the files; NaN for those that are not images."""
    vectors = np.full((len(files), dimension), np.nan, np.float32)
    batches = (
        pa.record_batch(
            [[printable(file) for file in part], [file.read_bytes() for file in part]],
            names=["id", "image"],
        )
        for part in _parts(files, _READ_AT_ONCE)
    )
    row_of = {printable(file): row for row, file in enumerate(files)}
    rejects = Rejects()
    for batch in embedder.batches(batches, "image", rejects):
        rows = [row_of[name] for name in batch.column("id").to_pylist()]
        found = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
        vectors[rows] = found.reshape(len(rows), dimension)
    for reject in rejects.to_table().to_pylist():
        logger.warning("%s: left out, %s: %s", reject["id"], reject["reason"], reject["message"])
    return vectors


def _images_below(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the images below a folder, sorted, and the number of other files by kind."""
    images: list[Path] = []
    others: list[Path] = []
    left_out: Counter[str] = Counter()
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        hidden = [name for name in (*folders, *names) if is_of_the_system(name)]
        left_out["linked folder"] += len({*links} - {*hidden})
        left_out["hidden or the system's own"] += len(hidden)
        folders[:] = {*folders} - {*hidden}
        for name in {*names} - {*hidden}:
            (images if _is_image(Path(place, name)) else others).append(Path(place, name))
    captioned = {image.with_suffix(_CAPTION) for image in images}
    left_out.update(kind_of(other.name) for other in others if other not in captioned)
    return sorted(images), +left_out


def _is_image(file: Path) -> bool:
    if not file.is_file():  # reading a pipe would block
        return False
    if has_image_suffix(file.name):
        return True
    with file.open("rb") as content:
        return starts_as_image(content.read(START_BYTES))


def _caption(file: Path) -> str | None:
    """Return the text beside an image; None if there is none, or it is not valid text."""
    beside = file.with_suffix(_CAPTION)
    try:
        return caption(beside.read_bytes()) if beside.is_file() else None
    except ValueError as error:
        logger.warning("%s: is not taken as a caption, since it is no text: %s", beside, error)
        return None


def _parts(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
