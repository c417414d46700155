"""Rules that exclude tokens, for all rows at once, on the device.

They are those of transformers' logits processors, in the order in which `generate` applies them.
The tokens are in memory of fixed size, and the number of known ones is on the device as well: so
nothing waits for the device or changes shape, as CUDA graphs require.
"""

from dataclasses import dataclass

import torch

from image_toolkit.models.captioning.decoding.family import SpecialTokens
from image_toolkit.models.captioning.generation import Generation

_RULED_OUT = float("-inf")


@dataclass(frozen=True)
class Clock:
    """The position of decoding, as one-element tensors on the device.

    `last` is the position of the last known token, `first` that of the first new one, `end` the one
    after the last possible one.
    """

    last: torch.Tensor
    first: torch.Tensor
    end: torch.Tensor

    @classmethod
    def on(cls, device: torch.device) -> "Clock":
        """Return a clock at 0."""
        return cls(*(torch.zeros(1, dtype=torch.long, device=device) for _ in range(3)))

    def set(self, prompt: int, end: int) -> None:
        """Set it to the end of a prompt with so many tokens."""
        self.last.fill_(prompt - 1)
        self.first.fill_(prompt)
        self.end.fill_(end)


class Rules:
    """The rules of a generation. All scores have shape (rows, vocabulary), float32."""

    def __init__(
        self, generation: Generation, special: SpecialTokens, vocabulary: int, clock: Clock
    ) -> None:
        device = clock.last.device
        self.padding = special.padding
        self.count_of_ends = len(special.ends)
        self._clock = clock
        self._penalty = float(generation.repetition_penalty)
        self._ngram = generation.no_repeat_ngram_size
        self._least = generation.min_new_tokens
        self._ends = torch.tensor(special.ends, device=device)
        self._ending = _only(special.ends, vocabulary, device) == 0
        self._first = _only(special.first, vocabulary, device) if special.first else None
        self._last = _only(special.last, vocabulary, device) if special.last else None

    def __call__(self, scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the scores of the next token; `tokens` are (rows, length), partly known."""
        now = self._clock
        length = tokens.shape[1]
        known = torch.arange(length, device=tokens.device) <= now.last
        if self._penalty != 1:
            scores = self._penalised(scores, tokens, known)
        if 0 < self._ngram <= length:
            scores = self._without_repeats(scores, tokens)
        if self._least:
            early = now.last + 1 - now.first < self._least
            scores = scores.masked_fill(self._ending & early, _RULED_OUT)
        if self._first is not None:
            scores = torch.where(now.last == 0, self._first, scores)
        if self._last is not None:
            scores = torch.where(now.last + 2 == now.end, self._last, scores)
        return scores

    def ends(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return which tokens end a caption."""
        return (tokens[..., None] == self._ends).any(-1)

    def _penalised(
        self, scores: torch.Tensor, tokens: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Make tokens that occurred less likely, including those of the prompt."""
        said = _marked(scores, tokens.masked_fill(~known, scores.shape[1]))
        lower = torch.where(scores < 0, scores * self._penalty, scores / self._penalty)
        return torch.where(said, lower, scores)

    def _without_repeats(self, scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Rule out tokens that would repeat an n-gram."""
        size, last = self._ngram, self._clock.last
        windows = tokens.unfold(1, size, 1)
        back = torch.arange(size - 1, 0, -1, device=tokens.device)
        start = tokens.index_select(1, (last + 1 - back).clamp(min=0))
        alike = (windows[..., :-1] == start[:, None]).all(-1)
        over = torch.arange(windows.shape[1], device=tokens.device) + size - 1 <= last
        again = windows[..., -1].masked_fill(~(alike & over), scores.shape[1])
        return scores.masked_fill(_marked(scores, again), _RULED_OUT)


def _marked(scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Mark the positions of each row's tokens in the scores; one past the vocabulary is none."""
    marks = torch.zeros(
        scores.shape[0], scores.shape[1] + 1, dtype=torch.bool, device=scores.device
    )
    return marks.scatter_(1, tokens, value=True)[:, :-1]


def _only(tokens: tuple[int, ...], vocabulary: int, device: torch.device) -> torch.Tensor:
    """Return scores that only permit some tokens, (vocabulary,)."""
    scores = torch.full((vocabulary,), _RULED_OUT, device=device)
    scores[list(tokens)] = 0.0
    return scores
