"""Judge the precision of an encoder: how close its vectors are to those of fp32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from fondant_spec.errors import InputDataError
from image_toolkit.models.embedding.embedders import Encoder, Vectors
from image_toolkit.models.embedding.engines import exact_engine
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.feed_rows import usable
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory


@dataclass(frozen=True)
class Judge:
    """Prepared inputs, and their unit vectors (inputs, dimension) in fp32."""

    items: Sequence[Any]
    wanted: Vectors

    @classmethod
    def of(cls, encoder: Encoder, placement: Placement, samples: Sequence[Any] = ()) -> Self:
        """Return the judge of an encoder that was just loaded.

        On a GPU, the user's own `samples` are included, which cost nothing there.

        Raises:
            InputDataError: it returns more than one vector per input, or non-finite values.
        """
        own = usable(encoder.prepare, samples) if placement.is_cuda else []
        items = [*encoder.probes(), *own]
        wanted = _exact(encoder, items, placement.device)
        if wanted.ndim != 2:  # noqa: PLR2004 - inputs, dimension
            msg = (
                f"Model {encoder.name!r} gives several vectors for each input, not one; use a "
                f"CLIP, SigLIP, SigLIP 2 or similar model."
            )
            raise InputDataError(msg)
        if not np.isfinite(wanted).all():
            msg = (
                f"Model {encoder.name!r}: its vectors are no finite numbers, in fp32 either. Its "
                f"weights are damaged: download it again, or choose another model."
            )
            raise InputDataError(msg)
        return cls(items, wanted)

    def cosine(self, vectors: Callable[[Sequence[Any]], Vectors]) -> float:
        """Return the lowest cosine to fp32 of the vectors that `vectors` makes of the inputs."""
        return float((vectors(self.items) * self.wanted).sum(-1).min())


def _exact(encoder: Encoder, items: Sequence[Any], device: torch.device) -> Vectors:
    """Return the vectors in fp32, computed on the device, or on the CPU if they do not fit."""
    inputs = encoder.collate(items)
    try:
        return exact_engine(encoder.tower, device)(inputs)
    except Exception as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
    # Outside the handler: the traceback, which keeps tensors alive, is gone by now.
    torch.cuda.empty_cache()
    return exact_engine(encoder.tower, torch.device("cpu"))(inputs)
