"""What decides how precisely an encoder runs: how close its vectors come to those of fp32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fondant_spec.errors import InputDataError
from image_toolkit.models.embedding.embedders import Encoder, Vectors
from image_toolkit.models.embedding.engines import exact_engine
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.feed import usable


@dataclass(frozen=True)
class Judge:
    """Prepared inputs, and the unit vectors (inputs, dimension) that fp32 gives of them."""

    items: Sequence[Any]
    wanted: Vectors

    @classmethod
    def of(cls, encoder: Encoder, placement: Placement, samples: Sequence[Any] = ()) -> Self:
        """Return what judges an encoder that is just loaded.

        Where it runs on a GPU, by the user's own `samples` too, which cost nothing there.

        Raises:
            InputDataError: its vectors are no numbers.
        """
        own = usable(encoder.prepare, samples) if placement.is_cuda else []
        items = [*encoder.probes(), *own]
        wanted = exact_engine(encoder.tower, placement.device)(encoder.collate(items))
        if not np.isfinite(wanted).all():
            msg = (
                f"Model {encoder.name!r}: its vectors are no finite numbers, in fp32 either. Its "
                f"weights are damaged: download it again, or choose another model."
            )
            raise InputDataError(msg)
        return cls(items, wanted)

    def cosine(self, vectors: Callable[[Sequence[Any]], Vectors]) -> float:
        """Return the least cosine to fp32 of what makes unit vectors of prepared inputs."""
        return float((vectors(self.items) * self.wanted).sum(-1).min())
