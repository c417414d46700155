"""Text lengths: a model reads only so many tokens of a text."""

import logging
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.embedding.embedders import TextEncoder
from image_toolkit.models.embedding.open_clip import OpenClipTexts

logger = logging.getLogger(__name__)

TOKENS: Final = "text_tokens"
TOO_LONG: Final = "text_too_long"


class TextLengths:
    """Counts the tokens of a partition's texts, and reports those that are truncated.

    With `refuse`, texts that would be truncated are rejected instead.
    """

    def __init__(self, encoder: TextEncoder | OpenClipTexts, *, refuse: bool) -> None:
        self._encoder = encoder
        self._refuse = refuse
        self._counts: dict[str, int] = {}
        self._seen = self._cut = self._longest = 0

    def read(
        self, batches: Iterator[pa.RecordBatch], column: str, rejects: Rejects
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches, without the rows that are refused."""
        for batch in batches:
            rows = batch.column("id").to_pylist()
            texts = [(text or "").strip() for text in batch.column(column).to_pylist()]
            counts = self._encoder.token_counts(texts) if texts else []
            kept = [self._fits(*row, rejects) for row in zip(rows, counts, strict=True)]
            yield batch.filter(pa.array(kept, pa.bool_()))

    def beside(self, made: pa.RecordBatch) -> pa.RecordBatch:
        """Append the number of tokens of each text, int32, to a batch of the same rows."""
        counts = [self._counts.pop(row) for row in made.column("id").to_pylist()]
        return made.append_column(TOKENS, pa.array(counts, pa.int32()))

    def tell(self) -> None:
        """Warn about truncated texts."""
        if self._cut:
            logger.warning(
                "%d of %d texts are longer than the %d tokens that %s reads, up to %d: their ends "
                "count for nothing.",
                self._cut,
                self._seen,
                self._encoder.longest,
                self._encoder.name,
                self._longest,
            )

    def _fits(self, row: str, tokens: int, rejects: Rejects) -> bool:
        self._counts[row] = tokens
        self._seen += 1
        if tokens <= self._encoder.longest:
            return True
        if self._refuse:
            most = f"{self._encoder.name} reads {self._encoder.longest}"
            rejects.add(row, TOO_LONG, f"the text has {tokens} tokens, and {most}")
            return False
        self._cut += 1
        self._longest = max(self._longest, tokens)
        return True
