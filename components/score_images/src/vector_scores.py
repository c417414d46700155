"""Scores from an image's CLIP vector: by small networks, by label texts, by its caption."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from heads import FloatArray, Head

from fondant_spec.dataset.manifest import Field
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.models.embedding.zero_shot import (
    LABELS,
    PROMPT,
    ZeroShot,
    check_labels,
    vectors_by_id,
)
from image_toolkit.models.runtime.hub_files import find_file
from image_toolkit.unit_vectors import unit_vectors

AESTHETIC: Final = "aesthetic_score"
UNSAFE: Final = "unsafe_score"
CLASS: Final = "class"
CLASS_SCORE: Final = "class_score"
CLIP_SCORE: Final = "clip_score"

SCORES: Final[Mapping[str, pa.DataType]] = {
    AESTHETIC: pa.float32(),
    UNSAFE: pa.float32(),
    CLASS: pa.string(),
    CLASS_SCORE: pa.float32(),
    CLIP_SCORE: pa.float32(),
}


@dataclass(frozen=True)
class VectorSettings:
    """Which models score vectors, and how; see the spec."""

    clip_model_id: str = "openai/clip-vit-large-patch14"
    clip_revision: str | None = None
    aesthetic_head: str | None = None
    unsafe_head: str | None = None
    labels: Sequence[str] = LABELS
    label_prompt: str = PROMPT
    device: str = "auto"
    batch_size: int = 0


class VectorScores:
    """Scores given or computed vectors; loads only what the scores need.

    Raises:
        InvalidArgumentError: a score requires an argument that was not given.
        InputDataError: a model is not available, or does not fit the vectors.
    """

    def __init__(
        self, names: Sequence[str], settings: VectorSettings, fields: Mapping[str, Field]
    ) -> None:
        _check(names, settings, fields)
        from image_toolkit.models.embedding.embedders import (  # noqa: PLC0415 - torch takes seconds
            image_encoder,
            text_encoder,
        )
        from image_toolkit.models.embedding.embedding_stream import Embedder  # noqa: PLC0415

        self._names = names
        self._settings = settings
        model, revision = settings.clip_model_id, settings.clip_revision
        options: dict[str, Any] = {"device": settings.device, "most": settings.batch_size}
        known = fields["embedding"].metadata if "embedding" in fields else {}
        self.takes_given = known.get("model_id") == model and known.get("modality") == "image"
        self._images = Embedder(partial(image_encoder, model, revision), **options)
        self._texts = Embedder(partial(text_encoder, model, revision), **options)
        if not self.takes_given:
            self._images.load()
        if {CLASS, CLASS_SCORE, CLIP_SCORE} & set(names):
            self._texts.load()
        self.about = {"clip_model_id": model}
        given = known if self.takes_given else self._images.metadata("image")
        self.about |= {"clip_revision": given["revision"]}
        dimension = int(given["dimension"])
        self._heads = {
            name: Head(find_file(path), name.replace("_score", " head"), dimension)
            for name, path in self._paths().items()
        }
        for name, head in self._heads.items():
            if head.is_classifier != (name == UNSAFE):
                msg = f"{self._paths()[name]}: these weights are not those of {name}."
                raise InputDataError(msg)
        self._classes = None
        if {CLASS, CLASS_SCORE} & set(names):
            prompt = settings.label_prompt
            self._classes = ZeroShot(settings.labels, prompt, self._texts, "score_images")

    def close(self) -> None:
        """Stop the threads that prepare images and texts."""
        self._images.close()
        self._texts.close()

    def vectors(self, batch: pa.RecordBatch, rejects: Rejects) -> tuple[pa.RecordBatch, FloatArray]:
        """Return the rows that have a vector, and their vectors, of length 1."""
        if self.takes_given:
            whole = batch.filter(pc.is_valid(batch.column("embedding")))
            for row_id in _without(batch, whole.column("id")):
                rejects.add(row_id, "no_embedding")
            found = whole.column("embedding")
        else:
            source = batch.select(["id", "image"])
            made = pa.Table.from_batches(
                list(self._images.batches(iter([source]), "image", rejects))
                or [_empty(self._images.metadata("image")["dimension"])]
            ).combine_chunks()
            whole = batch.filter(
                pc.is_in(batch.column("id"), value_set=made["id"].combine_chunks())
            )
            found = made["embedding"].combine_chunks()
        flat = found.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        return whole, unit_vectors(flat.reshape(len(whole), -1))

    def scores(self, rows: pa.RecordBatch, vectors: FloatArray) -> Iterator[tuple[str, pa.Array]]:
        """Yield each requested score, by its name."""
        for name, head in self._heads.items():
            yield name, pa.array(head(vectors), pa.float32())
        if self._classes is not None:
            best, chances = self._classes.shown(vectors)
            yield CLASS, pa.array(self._settings.labels, pa.string()).take(pa.array(best))
            yield CLASS_SCORE, pa.array(chances, pa.float32())
        if CLIP_SCORE in self._names:
            yield CLIP_SCORE, self._clip_scores(rows, vectors)

    def _clip_scores(self, rows: pa.RecordBatch, vectors: FloatArray) -> pa.Array:
        """Return the cosine of each vector with that of the row's caption, or null."""
        ids = rows.column("id").to_pylist()
        captions = zip(ids, rows.column("caption").to_pylist(), strict=True)
        found = dict(vectors_by_id(self._texts, [one for one in captions if one[1] is not None]))
        scores = [
            float(np.dot(vector, found[row_id])) if row_id in found else None
            for row_id, vector in zip(ids, vectors, strict=True)
        ]
        return pa.array(scores, pa.float32())

    def _paths(self) -> dict[str, str]:
        paths = {AESTHETIC: self._settings.aesthetic_head, UNSAFE: self._settings.unsafe_head}
        return {name: path for name, path in paths.items() if path and name in self._names}


def _check(names: Sequence[str], settings: VectorSettings, fields: Mapping[str, Field]) -> None:
    for name, path in ((AESTHETIC, "aesthetic_head"), (UNSAFE, "unsafe_head")):
        if name in names and not getattr(settings, path):
            msg = f"score_images: {name} needs the argument {path}, a file of weights."
            raise InvalidArgumentError(msg)
    if {CLASS, CLASS_SCORE} & set(names):
        check_labels(settings.labels, "score_images")
    if CLIP_SCORE in names and "caption" not in fields:
        msg = "score_images: clip_score needs the field 'caption'; name another with `consumes`."
        raise InputDataError(msg)


def _without(batch: pa.RecordBatch, ids: pa.Array) -> list[str]:
    every = batch.column("id")
    return list(every.filter(pc.invert(pc.is_in(every, value_set=ids))).to_pylist())


def _empty(dimension: int) -> pa.RecordBatch:
    types = [("id", pa.string()), ("embedding", pa.list_(pa.float32(), dimension))]
    return pa.RecordBatch.from_pylist([], pa.schema(types))
