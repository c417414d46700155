"""How tokens are chosen: greedily, by sampling, or by beam search.

The state of a search is in tensors of fixed size, modified in place, with the image as the first
dimension: so any search, and the key cache beside it, can be narrowed to fewer images, and have
images moved, without knowing what kind it is.
"""

from collections.abc import Sequence
from typing import Final

import torch

from image_toolkit.models.captioning.decoding.rules import Clock, Rules
from image_toolkit.models.captioning.generation import Draw, Generation, lots_of

Memory = dict[str, torch.Tensor]
"""Tensors whose first dimension is the image."""

_OUT: Final = -1e9
"""Added to the score of a beam that is out of the race, as in `generate`."""


def narrowed(memory: Memory, images: int) -> Memory:
    """Return the memory of the first images."""
    return {name: values[:images] for name, values in memory.items()}


def move(memory: Memory, places: torch.Tensor) -> None:
    """Move the images at these positions to the front."""
    for values in memory.values():
        values[: len(places)] = values.index_select(0, places)


class OneByOne:
    """Takes the likeliest token, or a sampled one, for each row of an image independently."""

    def __init__(self, memory: Memory, rules: Rules, clock: Clock, draw: Draw | None) -> None:
        self.memory = memory
        self._rules = rules
        self._clock = clock
        self._draw = draw

    @staticmethod
    def memory_for(
        images: int, generation: Generation, length: int, device: torch.device
    ) -> Memory:
        """Allocate memory for so many images, and texts of so many tokens."""
        shape = (images, generation.candidates)
        memory = {
            "tokens": torch.zeros(*shape, length, dtype=torch.long, device=device),
            "finished": torch.zeros(shape, dtype=torch.bool, device=device),
        }
        if generation.sample:
            memory["lots"] = torch.zeros(*shape, generation.max_new_tokens, device=device)
        return memory

    def start(self, seeds: Sequence[int]) -> None:
        """Begin after a prompt; `seeds` are those of all candidates, for sampling."""
        self.memory["finished"].fill_(value=False)
        if self._draw is not None:
            lots = self.memory["lots"].flatten(0, 1)
            lots[: len(seeds)] = lots_of(seeds, lots.shape[1]).to(lots.device)

    def take(self, logits: torch.Tensor) -> None:
        """Choose a token for each row; `logits` are (rows, vocabulary), float32."""
        tokens, finished, now = self.memory["tokens"], self.memory["finished"], self._clock
        rows = tokens.flatten(0, 1)
        scores = self._rules(logits, rows)
        if self._draw is None:
            words = scores.argmax(-1)
        else:
            lots = self.memory["lots"].flatten(0, 1).index_select(1, now.last + 1 - now.first)
            words = self._draw(rows, scores, lots)[:, 0]
        words = words.view(finished.shape).masked_fill(finished, self._rules.padding)
        tokens.index_copy_(2, now.last + 1, words[..., None])
        finished |= self._rules.ends(words)

    def done(self) -> torch.Tensor:
        """Return which images are finished, (images,)."""
        return self.memory["finished"].all(-1)

    def best(self) -> torch.Tensor:
        """Return the tokens of each image's candidates, (images, candidates, length)."""
        return self.memory["tokens"]


class Beams:
    """Beam search, as in `generate` with a length penalty of 1."""

    def __init__(self, memory: Memory, rules: Rules, clock: Clock) -> None:
        self.memory = memory
        self._rules = rules
        self._clock = clock
        images, self._beams, _ = memory["tokens"].shape
        self._first_row = torch.arange(images, device=clock.last.device)[:, None] * self._beams

    @staticmethod
    def memory_for(
        images: int, generation: Generation, length: int, device: torch.device
    ) -> Memory:
        """Allocate memory for so many images, and texts of so many tokens."""
        shape = (images, generation.num_beams)
        return {
            "tokens": torch.zeros(*shape, length, dtype=torch.long, device=device),
            "scores": torch.zeros(shape, device=device),
            "ended": torch.zeros(*shape, length, dtype=torch.long, device=device),
            "ended_scores": torch.zeros(shape, device=device),
            "is_ended": torch.zeros(shape, dtype=torch.bool, device=device),
            "open": torch.zeros(images, 1, dtype=torch.bool, device=device),
        }

    def start(self, _seeds: Sequence[int]) -> None:
        """Begin after a prompt."""
        memory = self.memory
        memory["scores"].fill_(_OUT)[:, 0] = 0.0  # or all beams of an image would be alike
        memory["ended_scores"].fill_(_OUT)
        memory["is_ended"].fill_(value=False)
        memory["open"].fill_(value=True)
        memory["ended"].copy_(memory["tokens"])

    def take(self, logits: torch.Tensor) -> torch.Tensor:
        """Choose a token for each beam; return the parent row of each row, (rows,)."""
        memory, now, beams = self.memory, self._clock, self._beams
        tokens = memory["tokens"]
        scores = self._rules(logits.log_softmax(-1), tokens.flatten(0, 1))
        scores = scores.view(-1, beams, scores.shape[-1]) + memory["scores"][..., None]
        count = max(2, 1 + self._rules.count_of_ends) * beams
        totals, places = scores.flatten(1).topk(count)
        parents, words = places // scores.shape[-1], places % scores.shape[-1]
        texts = _gathered(tokens, parents).index_copy_(2, now.last + 1, words[..., None])
        ends = self._rules.ends(words) | (now.last + 2 >= now.end)
        self._end(texts, totals / (now.last + 2 - now.first), ends)
        totals = totals + ends * _OUT
        going = totals.topk(beams)[1]
        tokens.copy_(_gathered(texts, going))
        memory["scores"].copy_(totals.gather(1, going))
        self._close()
        return (parents.gather(1, going) + self._first_row[: len(going)]).flatten()

    def _end(self, texts: torch.Tensor, scores: torch.Tensor, ends: torch.Tensor) -> None:
        """Keep the best finished texts, of this step and of those before."""
        memory, beams = self.memory, self._beams
        first = torch.arange(ends.shape[1], device=ends.device) < beams
        ended = ends & first
        scores = scores + ~memory["open"] * _OUT
        scores = scores + ~ended * _OUT
        all_scores = torch.cat([memory["ended_scores"], scores], 1)
        best = all_scores.topk(beams)[1]
        memory["ended"].copy_(_gathered(torch.cat([memory["ended"], texts], 1), best))
        memory["ended_scores"].copy_(all_scores.gather(1, best))
        memory["is_ended"].copy_(torch.cat([memory["is_ended"], ended], 1).gather(1, best))

    def _close(self) -> None:
        """Close the images whose beams cannot surpass their finished texts any more."""
        memory, now = self.memory, self._clock
        hoped = memory["scores"][:, :1] / (now.last + 2 - now.first)
        worst = memory["ended_scores"].min(1, keepdim=True)[0]
        reached = worst.expand_as(memory["is_ended"]).masked_fill(~memory["is_ended"], _OUT)
        memory["open"] &= (hoped > reached).any(-1, keepdim=True)

    def done(self) -> torch.Tensor:
        """Return which images are finished, (images,)."""
        return ~self.memory["open"][:, 0]

    def best(self) -> torch.Tensor:
        """Return the tokens of each image's beams, best first, (images, beams, length)."""
        return self.memory["ended"]


def _gathered(texts: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Select from each image's texts, (images, texts, length), by their numbers."""
    return texts.gather(1, which[..., None].expand(-1, -1, texts.shape[-1]))
