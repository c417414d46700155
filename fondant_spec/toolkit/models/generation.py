"""How captions are generated: lengths, beams or sampling, and what keeps them from repeating."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import torch
from transformers import LogitsProcessor, LogitsProcessorList, TopPLogitsWarper

from fondant_spec.errors import InvalidArgumentError

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    # The defaults of EveryDream's captioning script: its `q_factor` is the repetition penalty.
    "everydream": {
        "num_beams": 16,
        "min_new_tokens": 22,
        "max_new_tokens": 48,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
    },
    # That script as a well-known report on fine-tuning with Unsplash photographs used it:
    # q_factor 1.4, and `min_words` 30, which counted tokens. The n-gram rule is ours: without it
    # these settings are known to give "a body of water in the middle of a body of water".
    "unsplash_report": {
        "num_beams": 16,
        "min_new_tokens": 30,
        "max_new_tokens": 48,
        "repetition_penalty": 1.4,
        "no_repeat_ngram_size": 3,
        "suffix": ", unsplash photography",
    },
}

_STRONG_PENALTY: Final = 1.5
_STRONG_BEAMS: Final = 3
_STRONG_NGRAM: Final = 2


@dataclass(frozen=True)
class Generation:
    """The settings of one generation. Lengths are in tokens, without the prompt's.

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
        )

    def arguments(self, rows: Sequence[str]) -> dict[str, Any]:
        """Return the arguments of `generate` for these rows, given by their ids."""
        arguments: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens,
            "min_new_tokens": self.min_new_tokens,
            "num_beams": self.num_beams,
            "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "num_return_sequences": self.candidates,
            "do_sample": self.sample,
        }
        if self.sample:
            seeds = [
                seed + number for seed in self.seeds(rows) for number in range(self.candidates)
            ]
            sampling = RowSampling(seeds, self.temperature, self.top_p)
            arguments |= {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
            arguments["logits_processor"] = LogitsProcessorList([sampling])
        return arguments

    def seeds(self, rows: Sequence[str]) -> list[int]:
        """Return a seed for each row, given by its id: a number below 2**53."""
        texts = [f"{self.seed}:{row}".encode() for row in rows]
        return [
            int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 11 for text in texts
        ]


class RowSampling(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Samples each row with random numbers of its own: the same whatever else is in the batch.

    Adding Gumbel noise to the log-probabilities and taking the largest is sampling from them. The
    other tokens are ruled out, so that what `generate` draws afterwards is this one.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = TopPLogitsWarper(top_p)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores in which only the drawn token of each row is left."""
        scores = self._top_p(input_ids, scores.float() / self._temperature)
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=own) for own in self._generators]
        )
        noise = -torch.log(-torch.log(uniform.clamp_(1e-10, 1 - 1e-7)))
        drawn = (scores + noise.to(scores.device)).argmax(-1, keepdim=True)
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn, 0.0)


def with_preset(name: str, **given: Any) -> dict[str, Any]:
    """Return the settings of a preset, replaced by those that are given (not None)."""
    return PRESETS[name] | {key: value for key, value in given.items() if value is not None}
