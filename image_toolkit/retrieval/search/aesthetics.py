"""Aesthetics: move queries towards prettier images, with clip-retrieval's arithmetic."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.unit_vectors import unit_vectors

BEST_SCORE: Final = 9


@dataclass(frozen=True)
class Aesthetics:
    """The rating to move queries towards, and how far.

    Args:
        aesthetic_score: 0 to 9, where 9 is the prettiest; None leaves queries unchanged.
        aesthetic_weight: 0 to 1, the length of the move.
        aesthetic_embeddings: Folder with one vector per rating, `rating0.npy` to `rating9.npy`, as
            LAION publishes them with its aesthetic predictor, one folder per CLIP model.
    """

    aesthetic_score: int | None = None
    aesthetic_weight: float = 0.5
    aesthetic_embeddings: str | Path | None = None

    def check_folder(self) -> None:
        """Refuse a score without the rating vectors, which a local index needs.

        Raises:
            InvalidArgumentError: `aesthetic_embeddings` is missing.
        """
        if self.aesthetic_score is not None and self.aesthetic_embeddings is None:
            msg = (
                f"aesthetic_score: this index needs `aesthetic_embeddings` too, the folder with "
                f"rating0.npy to rating{BEST_SCORE}.npy of its CLIP model; or leave the score out."
            )
            raise InvalidArgumentError(msg)

    def apply(self, queries: FloatArray) -> FloatArray:
        """Return `queries`, shape (n, dimension), moved by the weighted rating and normalised.

        Raises:
            InputDataError: the rating's vector is missing, or belongs to another model.
        """
        if self.aesthetic_score is None or self.aesthetic_embeddings is None or not len(queries):
            return queries
        file = Path(self.aesthetic_embeddings) / f"rating{self.aesthetic_score}.npy"
        rating = _rating(file, queries.shape[1])
        return unit_vectors(queries + self.aesthetic_weight * rating)


def _rating(path: Path, dimension: int) -> FloatArray:
    try:
        vector: FloatArray = np.load(path, allow_pickle=False).astype(np.float32).reshape(-1)
    except (OSError, ValueError) as error:
        msg = f"aesthetic_embeddings: cannot read {path} ({error})."
        raise InputDataError(msg) from error
    if len(vector) != dimension:
        msg = (
            f"{path} has {len(vector)} dimensions, but the queries have {dimension}: it "
            f"belongs to another CLIP model."
        )
        raise InputDataError(msg)
    return vector
