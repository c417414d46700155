"""Caption lengths compared with what reads them: Stable Diffusion, and the CLIP score's model."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from image_toolkit.models.embedding.clip_score import ClipScore

logger = logging.getLogger(__name__)

CLIP_TOKENS: Final = 77
"""How many tokens (including start and end) Stable Diffusion 1 and 2 read of a caption."""


@dataclass
class CaptionLengths:
    """Reports a partition's truncated captions, if they were counted."""

    scorer: ClipScore | None
    _tokens: list[int] = field(default_factory=list)

    def add(self, tokens: Iterable[int]) -> None:
        """Add captions, given the number of tokens of each."""
        self._tokens.extend(tokens)

    def tell(self) -> None:
        """Warn about those that are too long."""
        self._warn(CLIP_TOKENS, "Stable Diffusion 1 and 2 do not read their ends.")
        if self.scorer is not None:
            cut = "their CLIP scores are those of their beginnings, all that the model reads."
            self._warn(self.scorer.longest, cut)

    def _warn(self, most: int, why: str) -> None:
        long = sum(count > most for count in self._tokens)
        if long:
            told = f"{long} of {len(self._tokens)} captions are longer than {most} tokens"
            logger.warning("%s: %s", told, why)
