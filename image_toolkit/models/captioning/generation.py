"""How captions are generated: lengths, beams or sampling, and what prevents repetition."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from fondant_spec.errors import InvalidArgumentError

_STRONG_PENALTY: Final = 1.5
_STRONG_BEAMS: Final = 3
_STRONG_NGRAM: Final = 2


@dataclass(frozen=True)
class Generation:
    """Generation settings. Lengths are in tokens, without the prompt's.

    `attempt` is 2 in the settings for regenerating a poor caption.

    Raises:
        InvalidArgumentError: the settings contradict each other.
    """

    max_new_tokens: int = 50
    min_new_tokens: int = 0
    num_beams: int = 1
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 3
    retry_poor: bool = True
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 0.9
    candidates: int = 1
    seed: int = 0
    attempt: int = 1

    def __post_init__(self) -> None:
        """Check that the settings are consistent."""
        wrong = [message for message, holds in self._rules() if not holds]
        if wrong:
            raise InvalidArgumentError(wrong[0])

    def _rules(self) -> list[tuple[str, bool]]:
        enough = self.sample or self.num_beams >= self.candidates
        return [
            ("max_new_tokens: must be at least 1.", self.max_new_tokens >= 1),
            (
                f"min_new_tokens: {self.min_new_tokens} is above max_new_tokens.",
                0 <= self.min_new_tokens <= self.max_new_tokens,
            ),
            ("num_beams: must be at least 1.", self.num_beams >= 1),
            ("repetition_penalty: must be above 0; 1 is none.", self.repetition_penalty > 0),
            ("no_repeat_ngram_size: must be 0 (off) or more.", self.no_repeat_ngram_size >= 0),
            ("temperature: must be above 0.", self.temperature > 0),
            ("top_p: must be above 0 and at most 1.", 0 < self.top_p <= 1),
            ("candidates: must be at least 1.", self.candidates >= 1),
            ("sample: sampling with beams is not offered; set num_beams to 1.", self._one_way()),
            (
                f"candidates: {self.candidates} of them need sample, or as many num_beams.",
                enough,
            ),
        ]

    def _one_way(self) -> bool:
        return not self.sample or self.num_beams == 1

    def stronger(self) -> Self:
        """Return settings under which no pair of tokens can occur twice."""
        return replace(
            self,
            num_beams=1 if self.sample else max(self.num_beams, _STRONG_BEAMS),
            repetition_penalty=max(self.repetition_penalty, _STRONG_PENALTY),
            no_repeat_ngram_size=_STRONG_NGRAM,
            attempt=2,
        )

    def arguments(self, rows: Sequence[str], *, ignored: int = 0) -> dict[str, Any]:
        """Return the arguments of `generate` for rows with these ids.

        `ignored` is the number of tokens at the start of each row that are not part of the caption:
        a caption may repeat them.
        """
        arguments: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens,
            "min_new_tokens": self.min_new_tokens,
            "num_beams": self.num_beams,
            "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "num_return_sequences": self.candidates,
            "do_sample": self.sample,
        }
        processors = self._past(ignored) if ignored else []
        if processors:
            arguments |= {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
        if self.sample:
            arguments |= {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
            processors.append(self._sampling(rows))
        if processors:
            arguments["logits_processor"] = LogitsProcessorList(processors)
        return arguments

    def _past(self, ignored: int) -> list[LogitsProcessor]:
        """Return the two processors against repetition, applied only past the prompt."""
        own: list[LogitsProcessor] = []
        if self.repetition_penalty != 1:
            own.append(RepetitionPenaltyLogitsProcessor(float(self.repetition_penalty)))
        if self.no_repeat_ngram_size > 0:
            own.append(NoRepeatNGramLogitsProcessor(self.no_repeat_ngram_size))
        return [PastPrompt(processor, ignored) for processor in own]

    def _sampling(self, rows: Sequence[str]) -> LogitsProcessor:
        return RowSampling(self.seeds_of_candidates(rows), self.temperature, self.top_p)

    def seeds_of_candidates(self, rows: Sequence[str]) -> list[int]:
        """Return a seed for each candidate of each row, row by row."""
        return [seed + number for seed in self.seeds(rows) for number in range(self.candidates)]

    def seeds(self, rows: Sequence[str]) -> list[int]:
        """Return a seed below 2**53 for each row id and attempt."""
        which = f"{self.seed}" if self.attempt == 1 else f"{self.seed}:{self.attempt}"
        texts = [f"{which}:{row}".encode() for row in rows]
        return [
            int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 11 for text in texts
        ]


class PastPrompt(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Applies another processor to the tokens past the prompt only."""

    def __init__(self, processor: LogitsProcessor, ignored: int) -> None:
        self._processor = processor
        self._ignored = ignored

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores as changed by the other processor."""
        changed: torch.Tensor = self._processor(input_ids[:, self._ignored :], scores)
        return changed


class RowSampling(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Samples each row with its own random numbers, independent of the rest of the batch.

    All other tokens are ruled out, so that `generate` then samples this one.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._draw = Draw(temperature, top_p)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores that leave only the sampled token of each row."""
        lots = torch.cat([torch.rand(1, generator=own) for own in self._generators])
        drawn = self._draw(input_ids, scores, lots.to(scores.device)[:, None])
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn, 0.0)


class Draw:
    """Samples a token for each row, given a uniform random number per row."""

    def __init__(self, temperature: float, top_p: float) -> None:
        self._temperature = temperature
        self._top_p = TopPLogitsWarper(top_p)

    def __call__(
        self, tokens: torch.Tensor, scores: torch.Tensor, lots: torch.Tensor
    ) -> torch.Tensor:
        """Return tokens, shape (rows, 1), for `lots` of the same shape, from 0 to 1."""
        return inverted(self._top_p(tokens, scores.float() / self._temperature), lots)


def lots_of(seeds: Sequence[int], count: int) -> torch.Tensor:
    """Return the first random numbers for each seed, (rows, count), as in `RowSampling`."""
    return torch.stack(
        [torch.rand(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


def inverted(scores: torch.Tensor, lots: torch.Tensor) -> torch.Tensor:
    """Sample by inverse transform: the token at which cumulative probability exceeds the lot.

    `scores` have shape (rows, tokens), with -inf for tokens that are ruled out; `lots`, from 0 to
    1, and the result have shape (rows, 1).
    """
    ends = scores.softmax(-1).cumsum(-1)
    drawn = torch.searchsorted(ends, lots * ends[:, -1:], right=True).clamp_(max=ends.shape[1] - 1)
    # Rounding may select a token that was ruled out.
    possible = scores.gather(1, drawn).isfinite()
    return torch.where(possible, drawn, scores.argmax(-1, keepdim=True))
