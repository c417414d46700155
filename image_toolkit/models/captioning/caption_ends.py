"""Count captions that end at `max_new_tokens`, most of them in the middle of a sentence."""

import logging
from collections.abc import Collection
from typing import Any, Final

import torch

logger = logging.getLogger(__name__)

_NONE: Final = -1  # no token has this number


class CaptionEnds:
    """Counts the captions of one model that were cut off by their length limit."""

    def __init__(self, special: Collection[int], settings: Any) -> None:
        """Take the ids of a tokenizer's special tokens, and the model's generation settings."""
        ends = settings.eos_token_id
        ends = ends if isinstance(ends, list | tuple) else [_NONE if ends is None else ends]
        self._closing = torch.tensor(sorted({*special, *ends}))
        forced = settings.forced_eos_token_id
        self._forced = _NONE if forced is None else forced
        self._cut, self._made = 0, 0

    def count(self, tokens: torch.Tensor, most: int) -> None:
        """Count the captions in a batch's tokens, (captions, length), with at most so many new.

        Padding follows the end of a caption, so one that was cut off has a word in the last place.
        Some models are made to end there; they have the end itself in a place past `most`.
        """
        last = tokens[:, -1].cpu()
        cut = ~torch.isin(last, self._closing)
        if tokens.shape[1] > most > 0:
            before = tokens[:, -2].cpu()
            cut |= (last == self._forced) & (before != self._forced)
        self._cut += int(cut.sum())
        self._made += len(cut)

    def tell(self) -> None:
        """Warn if captions were cut off."""
        if self._cut:
            logger.warning(
                "%d of %d generated captions, second attempts and candidates included, ended at "
                "max_new_tokens, most likely in the middle of a sentence; raise it, or have the "
                "prompt ask for less.",
                self._cut,
                self._made,
            )
