"""How captions are generated: lengths, beams or sampling, and what keeps them from repeating."""

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
    """The settings of one generation. Lengths are in tokens, without the prompt's.

    `attempt` is 2 in the settings by which a poor caption is asked for once more.

    Raises:
        InvalidArgumentError: settings that contradict each other.
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
        """Check that the settings make sense together."""
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
        """Return settings under which no pair of tokens can come twice."""
        return replace(
            self,
            num_beams=1 if self.sample else max(self.num_beams, _STRONG_BEAMS),
            repetition_penalty=max(self.repetition_penalty, _STRONG_PENALTY),
            no_repeat_ngram_size=_STRONG_NGRAM,
            attempt=2,
        )

    def arguments(self, rows: Sequence[str], *, ignored: int = 0) -> dict[str, Any]:
        """Return the arguments of `generate` for these rows, given by their ids.

        `ignored` is how many tokens at the start of each row are no part of the caption: what they
        say is no repetition when the caption says it.
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
        """Return what `generate` makes of the two settings against repetition, past the prompt."""
        own: list[LogitsProcessor] = []
        if self.repetition_penalty != 1:
            own.append(RepetitionPenaltyLogitsProcessor(float(self.repetition_penalty)))
        if self.no_repeat_ngram_size > 0:
            own.append(NoRepeatNGramLogitsProcessor(self.no_repeat_ngram_size))
        return [PastPrompt(processor, ignored) for processor in own]

    def _sampling(self, rows: Sequence[str]) -> LogitsProcessor:
        return RowSampling(self.seeds_of_candidates(rows), self.temperature, self.top_p)

    def seeds_of_candidates(self, rows: Sequence[str]) -> list[int]:
        """Return a seed for each candidate of each row, one row after the other."""
        return [seed + number for seed in self.seeds(rows) for number in range(self.candidates)]

    def seeds(self, rows: Sequence[str]) -> list[int]:
        """Return a seed for each row and attempt, the row given by its id: a number below 2**53."""
        which = f"{self.seed}" if self.attempt == 1 else f"{self.seed}:{self.attempt}"
        texts = [f"{which}:{row}".encode() for row in rows]
        return [
            int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 11 for text in texts
        ]


class PastPrompt(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Has another processor see only the tokens past the prompt."""

    def __init__(self, processor: LogitsProcessor, ignored: int) -> None:
        self._processor = processor
        self._ignored = ignored

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return what the other processor makes of the scores."""
        changed: torch.Tensor = self._processor(input_ids[:, self._ignored :], scores)
        return changed


class RowSampling(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Samples each row with random numbers of its own: the same whatever else is in the batch.

    The other tokens are ruled out, so that what `generate` draws afterwards is this one.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._draw = Draw(temperature, top_p)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores in which only the drawn token of each row is left."""
        lots = torch.cat([torch.rand(1, generator=own) for own in self._generators])
        drawn = self._draw(input_ids, scores, lots.to(scores.device)[:, None])
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn, 0.0)


class Draw:
    """Draws a token for each row, given the row's lot."""

    def __init__(self, temperature: float, top_p: float) -> None:
        self._temperature = temperature
        self._top_p = TopPLogitsWarper(top_p)

    def __call__(
        self, tokens: torch.Tensor, scores: torch.Tensor, lots: torch.Tensor
    ) -> torch.Tensor:
        """Return tokens of shape (rows, 1), as the lots are, which are from 0 to 1."""
        return inverted(self._top_p(tokens, scores.float() / self._temperature), lots)


def lots_of(seeds: Sequence[int], count: int) -> torch.Tensor:
    """Return the first lots of rows by their seeds, (rows, count), as `RowSampling` takes them."""
    return torch.stack(
        [torch.rand(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


def inverted(scores: torch.Tensor, lots: torch.Tensor) -> torch.Tensor:
    """Return the token of each row at which its probabilities add up to more than its lot.

    `scores` are of shape (rows, tokens), with -inf for tokens that are ruled out; `lots`, from 0 to
    1, and the result are of shape (rows, 1).
    """
    ends = scores.softmax(-1).cumsum(-1)
    drawn = torch.searchsorted(ends, lots * ends[:, -1:], right=True).clamp_(max=ends.shape[1] - 1)
    # Rounding may end on a token that was ruled out.
    possible = scores.gather(1, drawn).isfinite()
    return torch.where(possible, drawn, scores.argmax(-1, keepdim=True))
