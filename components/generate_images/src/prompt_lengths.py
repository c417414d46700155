"""Counting prompts that are longer than the model can read, and so are truncated."""

import logging
from typing import Any, Final

logger = logging.getLogger(__name__)

_TOKENIZERS: Final = ("tokenizer", "tokenizer_2", "tokenizer_3")


class PromptLengths:
    """Counts truncated prompts, using the pipeline's tokenizer with the longest context."""

    def __init__(self, pipeline: Any) -> None:
        found = [getattr(pipeline, name, None) for name in _TOKENIZERS]
        readers = [one for one in found if one is not None]
        self._reader = max(readers, key=lambda one: int(one.model_max_length), default=None)
        self._seen = self._cut = self._longest = 0

    def add(self, prompt: str) -> None:
        """Count a prompt."""
        self._seen += 1
        if self._reader is None:
            return
        tokens = len(self._reader(prompt, truncation=False).input_ids)
        if tokens > self._reader.model_max_length:
            self._cut += 1
            self._longest = max(self._longest, tokens)

    def tell(self) -> None:
        """Warn about truncated prompts."""
        if self._cut and self._reader is not None:
            logger.warning(
                "%d of %d prompts are longer than the %d tokens that the model reads, up to %d: "
                "their ends count for nothing.",
                self._cut,
                self._seen,
                self._reader.model_max_length,
                self._longest,
            )
