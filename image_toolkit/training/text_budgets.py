"""Token counts of captions, and which captions exceed what the model's text encoder reads.

Counted with the encoder's own tokenizer if it is in the cache of the Hugging Face hub, which is the
case if the model itself was loaded; otherwise estimated. Nothing is truncated or downloaded here.
"""

import logging
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from math import ceil
from typing import Final, NamedTuple

from huggingface_hub import try_to_load_from_cache
from tokenizers import Tokenizer

logger = logging.getLogger(__name__)


class Encoder(NamedTuple):
    """A text encoder: the files that may contain its tokenizer, and parameters for an estimate.

    `tokens_a_piece` is for the estimate; `marks` is the number of special tokens that count towards
    the limit, such as the end of text.
    """

    files: tuple[tuple[str, str], ...]
    tokens_a_piece: float
    marks: int


ENCODERS: Final = {
    "CLIP": Encoder((("openai/clip-vit-large-patch14", "tokenizer.json"),), 1.0, 0),
    "T5": Encoder(
        (
            ("black-forest-labs/FLUX.1-dev", "tokenizer_2/tokenizer.json"),
            ("google-t5/t5-base", "tokenizer.json"),
            ("google-t5/t5-small", "tokenizer.json"),
        ),
        1.25,
        1,
    ),
    "Mistral": Encoder((("black-forest-labs/FLUX.2-dev", "tokenizer/tokenizer.json"),), 1.25, 0),
}

_PIECES: Final = re.compile(r"[^\W\d_]+|\d|[^\w\s]+|_+")
_PLAIN_LETTERS: Final = 5
"""The approximate number of letters per token, in the beginning of a word and in the rest."""

_OTHER_BYTES: Final = 1.5
"""The approximate number of bytes per token, in other scripts."""


class Budget:
    """Counts the tokens of captions, of which a model's text encoder reads `most`.

    `longest` is the token count of the longest caption; `over` of `seen` captions exceed `most`.
    """

    def __init__(self, encoder: str, most: int) -> None:
        self.encoder = encoder
        self.most = most
        self.longest = self.seen = self.over = 0
        self._tokens, self.is_exact = counter_of(encoder)

    @property
    def field(self) -> str:
        """The name of the field for the number of tokens: `clip_tokens`, `t5_tokens`, ..."""
        return f"{self.encoder.lower()}_tokens"

    def count(self, captions: Sequence[str]) -> int:
        """Add the captions of an image, and return the number of tokens of the longest."""
        tokens = [self._tokens(caption) for caption in captions]
        self.seen += len(tokens)
        self.over += sum(number > self.most for number in tokens)
        self.longest = max(self.longest, *tokens)
        return max(tokens)

    def in_words(self) -> str:
        """Return the result in a sentence or two."""
        counted = "by its own tokenizer" if self.is_exact else "by an estimate"
        read = f"{self.encoder} reads {self.most} tokens of a caption; the longest has"
        told = f"{read} {self.longest:,}, {counted}."
        if not self.over:
            return told
        captions = f"{self.over:,} of {self.seen:,} captions"
        return f"{told} Of {captions}, which are longer, the ends are not read."

    def tell(self, layout: str) -> None:
        """Warn about captions that are too long."""
        if self.over:
            logger.warning("%s: %s", layout, self.in_words())


def counter_of(encoder: str) -> tuple[Callable[[str], int], bool]:
    """Return a token counter, and whether it uses the encoder's own tokenizer."""
    about = ENCODERS[encoder]
    for repository, name in about.files:
        file = try_to_load_from_cache(repository, name)
        if isinstance(file, str):
            return partial(_tokens, _tokenizer(file), about.marks), True
    return lambda text: ceil(about.tokens_a_piece * estimate(text)) + about.marks, False


@cache
def _tokenizer(file: str) -> Tokenizer:
    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _tokens(tokenizer: Tokenizer, marks: int, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids) + marks


def estimate(text: str) -> int:
    """Estimate the number of CLIP tokens of a text.

    For most English prose, it is within a tenth; for other scripts, within a third.
    """
    return sum(map(_tokens_of, _PIECES.findall(text.lower())))


def _tokens_of(piece: str) -> int:
    if piece.isascii() and piece.isalpha():
        return 1 + max(0, len(piece) - _PLAIN_LETTERS) // _PLAIN_LETTERS
    if piece.isalpha():
        return ceil(len(piece.encode("utf-8", "replace")) / _OTHER_BYTES)
    return 1
