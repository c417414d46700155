"""Zero-shot classification: which of some labels fits an image, by CLIP without training."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InvalidArgumentError

if TYPE_CHECKING:  # torch takes seconds to import, and the labels are needed before
    from image_toolkit.models.embedding.embedding_stream import Embedder

Vectors = NDArray[np.float32]

LABELS: Final = (
    "animal",
    "human",
    "landscape",
    "building",
    "vehicle",
    "food",
    "plant",
    "furniture",
    "artwork",
    "text",
)
PROMPT: Final = "a photo of {}"

_TEMPERATURE: Final = 100.0  # the one that CLIP was trained with


class Shown(NamedTuple):
    """The index of the best label of each image, and its probability among all labels."""

    labels: NDArray[np.int64]
    chances: Vectors


class ZeroShot:
    """Finds which of some labels fits an image best, by its vector.

    Raises:
        InvalidArgumentError: there are fewer than two labels, or one is blank.
    """

    def __init__(self, labels: Sequence[str], prompt: str, texts: "Embedder", step: str) -> None:
        """Embed the labels with `texts`, which must be loaded; `step` is named in errors."""
        check_labels(labels, step)
        self.labels = tuple(map(str, labels))
        prompts = [prompt.replace("{}", label) for label in self.labels]
        found = dict(vectors_by_id(texts, [(f"{n:06d}", one) for n, one in enumerate(prompts)]))
        if len(found) < len(prompts):
            msg = f"{step}: a label is blank; give each one a name."
            raise InvalidArgumentError(msg)
        self._vectors = np.stack([found[name] for name in sorted(found)])

    def shown(self, vectors: Vectors) -> Shown:
        """Classify vectors, shape (n, dimension), of unit length."""
        likeness = _TEMPERATURE * vectors @ self._vectors.T
        likeness = np.exp(likeness - likeness.max(axis=1, keepdims=True, initial=-np.inf))
        chances = likeness / likeness.sum(axis=1, keepdims=True)
        return Shown(chances.argmax(axis=1), chances.max(axis=1, initial=0))

    def names(self, vectors: Vectors) -> list[str]:
        """Return the name of the label for each vector."""
        return [self.labels[place] for place in self.shown(vectors).labels]


def check_labels(labels: Sequence[str], step: str) -> None:
    """Check that there are labels to choose from.

    Raises:
        InvalidArgumentError: there are fewer than two.
    """
    if len(labels) < 2:  # noqa: PLR2004 - the least for a choice
        msg = f"{step}: class needs two labels or more to choose from."
        raise InvalidArgumentError(msg)


def vectors_by_id(
    texts: "Embedder", cells: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, Vectors]]:
    """Yield the id and the unit vector of each text that is not blank."""
    if not cells:
        return
    batch = pa.record_batch(
        [pa.array(column, pa.string()) for column in zip(*cells, strict=True)], ["id", "text"]
    )
    for made in texts.batches(iter([batch]), "text", Rejects()):
        yield from zip(made.column("id").to_pylist(), rows_of_vectors(made), strict=True)


def rows_of_vectors(made: pa.RecordBatch) -> Vectors:
    """Return the vectors that an embedder made, shape (rows, dimension)."""
    flat = made.column("embedding").flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(made), -1)
