"""Decide which caption a row gets: from a captioner, given in the dataset, or the best match."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np

from image_toolkit.blank_texts import is_blank
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_text import Frame, as_tags, clean
from image_toolkit.models.captioning.captioner import Captioner
from image_toolkit.models.captioning.drafts import (
    CAPTION,
    CLASS_PROMPT,
    Choice,
    Draft,
    alt_text_of,
    is_poor,
)
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.placeholders import filled, places_in
from image_toolkit.models.captioning.refusals import refuses
from image_toolkit.models.embedding.clip_score import ClipScore
from image_toolkit.models.runtime.batching import BatchSize, run_batch
from image_toolkit.models.runtime.feed import prepared
from image_toolkit.models.runtime.feed_groups import Group
from image_toolkit.models.runtime.feed_rows import FeedRow, UnusableError
from image_toolkit.models.runtime.slots import Slot

_TOO_LARGE: Final = UnusableError("out_of_memory", "does not fit in the memory, even alone")


@dataclass
class CaptionWriter:
    """Gives rows their captions, with one captioner on one device.

    A caption that repeats itself (or, from a chat model, refuses or was cut off) is requested once
    more, with settings that rule out repeated pairs of tokens. If that gives none, the first one is
    kept, except for one that refuses or was cut off, which is rejected. If several captions are
    requested, the first is the row's caption; a row goes without the others that fail.
    """

    captioner: Captioner
    size: BatchSize
    asks: Sequence[Ask]
    choice: Choice = field(default_factory=Choice)
    frame: Frame = field(default_factory=Frame)
    scorer: ClipScore | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of rows that captions may come from or mention."""
        words = [*(ask.prompt for ask in self.asks), *asdict(self.frame).values()]
        named = set().union(*map(places_in, words))
        return tuple({*self.choice.columns, *named, CLASS_PROMPT})

    @property
    def preparations(self) -> list[Callable[[bytes], Any]]:
        """What prepares a row's image: for the captioner, and for CLIP."""
        scorers = [] if self.scorer is None else [self.scorer.prepare]
        return [self.captioner.prepare, *scorers]

    def prepare(self, row: FeedRow, slot: Slot | None, clip_slot: Slot | None = None) -> Draft:
        """Return a draft with what its caption needs. Thread-safe.

        Raises:
            NotAnImageError: the image cannot be decoded.
            UnusableError: there is no image.
        """
        draft = Draft(row)
        given = self.choice.given(row, self.asks[0].generation.seed)
        if given is not None:
            draft.text, draft.source = given
            draft.said = draft.text
        if given is None or (len(self.asks) > 1 and draft.is_asked_more):
            draft.pixels = prepared(self.captioner.prepare, row, slot)
        if self.scorer is not None:
            draft.clip_pixels = prepared(self.scorer.prepare, row, clip_slot)
        return draft

    def write(self, group: Group[Draft]) -> None:
        """Fill in the drafts of a group; two partitions may do so at the same time."""
        if self.scorer is not None:
            self._see(group.items)
        first, *others = self.asks
        self._caption(first, [draft for draft in group.items if not draft.text])
        for draft in group.items:
            self._settle(draft)
        asked = [draft for draft in group.items if draft.is_asked_more]
        for ask in others:
            self._ask_more(ask, asked)
        if self.choice.keep_alt_text:
            for draft in asked:
                self._add_alt_text(draft)
        if self.scorer is not None:
            self._score([draft for draft in group.items if draft.problem is None])

    def _see(self, drafts: Sequence[Draft]) -> None:
        assert self.scorer is not None  # noqa: S101 - write() looked
        vectors = self.scorer.vectors([draft.clip_pixels for draft in drafts])
        for draft, vector in zip(drafts, vectors, strict=True):
            draft.clip_vector = vector

    def _caption(self, ask: Ask, drafts: Sequence[Draft]) -> None:
        """Fill in the answers for drafts, with a second attempt for poor ones."""
        for draft in drafts:
            said = {CAPTION: draft.said} if draft.said else {}
            draft.prompt = ask.prompt and filled(ask.prompt, draft.row.fields | said)
        self._ask(ask, drafts)
        if ask.generation.retry_poor:
            self._ask_again(ask, [draft for draft in drafts if draft.is_poor])

    def _ask_more(self, ask: Ask, drafts: Sequence[Draft]) -> None:
        further = [draft.once_more() for draft in drafts]
        self._caption(ask, further)
        for draft, one in zip(drafts, further, strict=True):
            self._settle(one)
            draft.take(one)

    def _add_alt_text(self, draft: Draft) -> None:
        if text := alt_text_of(draft.row):
            draft.add(self.frame.filled(draft.row.fields).around(text))

    def _ask(self, ask: Ask, drafts: Sequence[Draft]) -> None:
        for draft, answer in zip(drafts, self._answers(ask, drafts), strict=True):
            if isinstance(answer, UnusableError):
                draft.problem = answer
            elif not answer:
                draft.problem = UnusableError("empty_caption", "the model generated no text")
            else:
                draft.text = answer

    def _ask_again(self, ask: Ask, drafts: Sequence[Draft]) -> None:
        answers = self._answers(replace(ask, generation=ask.generation.stronger()), drafts)
        for draft, answer in zip(drafts, answers, strict=True):
            if isinstance(answer, str) and answer and not refuses(answer):
                draft.text, draft.source = answer, "model, second attempt"
                draft.problem = None

    def _answers(self, ask: Ask, drafts: Sequence[Draft]) -> list[str | UnusableError]:
        """Return each draft's best caption, which may be empty, or why there is none."""
        answers = run_batch(drafts, partial(self._captions, ask), self.size)
        candidates = [_good(answer) if isinstance(answer, list) else [] for answer in answers]
        best = self._best(ask.generation, drafts, candidates)
        return [
            text if isinstance(answer, list) else answer or _TOO_LARGE
            for text, answer in zip(best, answers, strict=True)
        ]

    def _captions(self, ask: Ask, drafts: Sequence[Draft]) -> Sequence[list[str] | UnusableError]:
        pixels, rows = [draft.pixels for draft in drafts], [draft.row.id for draft in drafts]
        prompts = [draft.prompt for draft in drafts if draft.prompt is not None] or None
        made = self.captioner.captions(pixels, rows, ask.generation, prompts)
        if ask.style != "tags":
            return made
        return [[*map(as_tags, one)] if isinstance(one, list) else one for one in made]

    def _best(
        self, generation: Generation, drafts: Sequence[Draft], candidates: Sequence[list[str]]
    ) -> list[str]:
        """Return the candidate that fits each draft's image best; "" if there is none."""
        if self.scorer is None or generation.candidates == 1:
            return [texts[0] if texts else "" for texts in candidates]
        pairs = zip(drafts, candidates, strict=True)
        vectors = [draft.clip_vector for draft, texts in pairs for _ in texts]
        scores = iter(self.scorer.scores(vectors, [text for texts in candidates for text in texts]))
        return [fittest(texts, list(islice(scores, len(texts)))) for texts in candidates]

    def _settle(self, draft: Draft) -> None:
        if draft.problem is not None or draft.stays:
            return
        if draft.source != "alt_text" and refuses(draft.text):
            draft.problem = UnusableError("refused", draft.text)
        draft.said = draft.text
        draft.text = self.frame.filled(draft.row.fields).around(draft.text)

    def _score(self, drafts: Sequence[Draft]) -> None:
        assert self.scorer is not None  # noqa: S101 - write() looked
        vectors = [draft.clip_vector for draft in drafts]
        scores = self.scorer.scores(vectors, [draft.text for draft in drafts])
        for draft, score in zip(drafts, scores, strict=True):
            draft.clip_score = score
            draft.caption_tokens = self.scorer.tokens(draft.text)


def _good(candidates: Sequence[str]) -> list[str]:
    """Return the cleaned candidates that are good; if there are none, all that are not blank."""
    cleaned = [text for text in map(clean, candidates) if not is_blank(text)]
    return [text for text in cleaned if not is_poor(text)] or cleaned


def fittest(candidates: Sequence[str], scores: Sequence[float]) -> str:
    """Return the candidate with the highest score; one without a score (NaN) loses to any other."""
    return candidates[int(np.nan_to_num(scores, nan=-2).argmax())] if candidates else ""
