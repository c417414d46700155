"""Rows in, captions out: what decides which caption a row gets."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.blank_texts import is_blank
from image_toolkit.models.captioning.caption_lengths import CaptionLengths
from image_toolkit.models.captioning.caption_text import Frame, clean, repeats
from image_toolkit.models.captioning.captioners import Captioner
from image_toolkit.models.captioning.chat_answers import CUT_OFF
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.refusals import refuses
from image_toolkit.models.embedding.clip_score import ClipScore
from image_toolkit.models.embedding.embedders import Vectors
from image_toolkit.models.runtime.batching import BatchSize, run_batch
from image_toolkit.models.runtime.feed import Feed, FeedRow, Group, UnusableError, rows_of
from image_toolkit.models.runtime.spread import spread

_ATTRIBUTES: Final = {"caption_source": "source"}
EXTRA_COLUMNS: Final = {
    "clip_score": pa.float32(),
    "caption_tokens": pa.int32(),
    "caption_source": pa.string(),
}
"""Columns that a step may ask for beside the caption."""


@dataclass(frozen=True)
class Choice:
    """Which captions are taken from the dataset instead of a model.

    `keep_existing`: a row's `caption`, where it has one. `alt_text_ratio`: the share of rows that
    keep their `alt_text`, where they have one; which rows these are depends on their id and a seed.
    """

    keep_existing: bool = False
    alt_text_ratio: float = 0.0

    def __post_init__(self) -> None:
        """Check the ratio.

        Raises:
            InvalidArgumentError: it is no share.
        """
        if not 0 <= self.alt_text_ratio <= 1:
            msg = "alt_text_ratio: must be from 0 to 1."
            raise InvalidArgumentError(msg)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that this needs, where the dataset has them."""
        return ("caption",) * self.keep_existing + ("alt_text",) * (self.alt_text_ratio > 0)

    def given(self, row: FeedRow, seed: int) -> tuple[str, str] | None:
        """Return the caption that a row brings along, and its source; None if it needs one."""
        existing = row.fields.get("caption") or ""
        if not is_blank(existing):
            return existing, "existing"
        alt_text = " ".join((row.fields.get("alt_text") or "").split())
        if not is_blank(alt_text) and _lot(row.id, seed) < self.alt_text_ratio:
            return alt_text, "alt_text"
        return None


@dataclass
class Draft:
    """A row's caption in the making; `problem` says why there is none."""

    row: FeedRow
    text: str = ""
    source: str = "model"
    pixels: Any = None
    clip_pixels: Any = None
    clip_vector: Vectors | None = None
    clip_score: float | None = None
    caption_tokens: int | None = None
    problem: UnusableError | None = None

    @property
    def is_poor(self) -> bool:
        """Whether a second attempt may give a better caption."""
        if self.problem is not None:
            return self.problem.reason == CUT_OFF
        return _poor(self.text)


@dataclass
class CaptionWriter:
    """Gives rows their captions, with one captioner on one device.

    A caption that repeats itself (or, from a chat model, refuses or was cut off) is asked for once
    more, with settings under which no pair of tokens can come twice. It stays if that gives none,
    but for one that refuses or was cut off, which is a reject.
    """

    captioner: Captioner
    size: BatchSize
    generation: Generation
    choice: Choice = field(default_factory=Choice)
    frame: Frame = field(default_factory=Frame)
    scorer: ClipScore | None = None

    def prepare(self, row: FeedRow) -> Draft:
        """Return a draft with what its caption needs: called in many threads at once.

        Raises:
            NotAnImageError: the image cannot be decoded.
            UnusableError: there is no image.
        """
        draft = Draft(row)
        given = self.choice.given(row, self.generation.seed)
        if given is None:
            draft.pixels = self.captioner.prepare(row.cell())
        else:
            draft.text, draft.source = given
        if self.scorer is not None:
            draft.clip_pixels = self.scorer.prepare(row.cell())
        return draft

    def write(self, group: Group[Draft]) -> None:
        """Fill in the drafts of a group; two partitions may do so at a time."""
        if self.scorer is not None:
            self._see(group.items)
        asked = [draft for draft in group.items if not draft.text]
        self._ask(asked)
        if self.generation.retry_poor:
            self._ask_again([draft for draft in asked if draft.is_poor])
        for draft in group.items:
            self._settle(draft)
        if self.scorer is not None:
            self._score([draft for draft in group.items if draft.problem is None])

    def _see(self, drafts: Sequence[Draft]) -> None:
        assert self.scorer is not None  # noqa: S101 - write() looked
        vectors = self.scorer.vectors([draft.clip_pixels for draft in drafts])
        for draft, vector in zip(drafts, vectors, strict=True):
            draft.clip_vector = vector

    def _ask(self, drafts: Sequence[Draft]) -> None:
        for draft, answer in zip(drafts, self._answers(drafts, self.generation), strict=True):
            if isinstance(answer, UnusableError):
                draft.problem = answer
            elif not answer:
                draft.problem = UnusableError("empty_caption", "the model generated no text")
            else:
                draft.text = answer

    def _ask_again(self, drafts: Sequence[Draft]) -> None:
        answers = self._answers(drafts, self.generation.stronger())
        for draft, answer in zip(drafts, answers, strict=True):
            if isinstance(answer, str) and answer and not refuses(answer):
                draft.text, draft.source = answer, "model, second attempt"
                draft.problem = None

    def _answers(
        self, drafts: Sequence[Draft], generation: Generation
    ) -> list[str | UnusableError]:
        """Return each draft's best caption, which may be empty, or why there is none."""
        answers = run_batch(drafts, partial(self._captions, generation), self.size)
        candidates = [_good(answer) if isinstance(answer, list) else [] for answer in answers]
        best = self._best(drafts, candidates)
        return [
            text if isinstance(answer, list) else answer or _TOO_LARGE
            for text, answer in zip(best, answers, strict=True)
        ]

    def _captions(
        self, generation: Generation, drafts: Sequence[Draft]
    ) -> Sequence[list[str] | UnusableError]:
        pixels = [draft.pixels for draft in drafts]
        return self.captioner.captions(pixels, [draft.row.id for draft in drafts], generation)

    def _best(self, drafts: Sequence[Draft], candidates: Sequence[list[str]]) -> list[str]:
        """Return the candidate that fits each draft's image best, "" where there is none."""
        if self.scorer is None or self.generation.candidates == 1:
            return [texts[0] if texts else "" for texts in candidates]
        pairs = zip(drafts, candidates, strict=True)
        vectors = [draft.clip_vector for draft, texts in pairs for _ in texts]
        scores = iter(self.scorer.scores(vectors, [text for texts in candidates for text in texts]))
        return [_fittest(texts, list(islice(scores, len(texts)))) for texts in candidates]

    def _settle(self, draft: Draft) -> None:
        if draft.problem is not None or draft.source == "existing":
            return
        if draft.source != "alt_text" and refuses(draft.text):
            draft.problem = UnusableError("refused", draft.text)
        draft.text = self.frame.around(draft.text)

    def _score(self, drafts: Sequence[Draft]) -> None:
        assert self.scorer is not None  # noqa: S101 - write() looked
        vectors = [draft.clip_vector for draft in drafts]
        scores = self.scorer.scores(vectors, [draft.text for draft in drafts])
        for draft, score in zip(drafts, scores, strict=True):
            draft.clip_score = score
            draft.caption_tokens = self.scorer.tokens(draft.text)


class Captioning:
    """Captions the rows of partitions with a writer on each device."""

    def __init__(
        self, writers: Sequence[CaptionWriter], extras: Sequence[str], *, ahead: int
    ) -> None:
        self._writers = writers
        self._extras = extras
        first = writers[0]
        self._feed: Feed[Draft] = Feed(first.prepare, lambda: first.size.now, ahead=ahead)

    @property
    def partitions_at_once(self) -> int:
        """How many partitions to caption side by side."""
        return self._feed.partitions_at_once

    def batches(
        self,
        batches: Iterator[pa.RecordBatch],
        rejects: Rejects,
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id`, `caption` and the extra columns of the rows that can be captioned."""
        rows = rows_of(batches, "image", self._writers[0].choice.columns)
        groups = self._feed.groups(rows, rejects)
        lengths = CaptionLengths(self._writers[0].scorer)
        for group, _ in spread([writer.write for writer in self._writers], groups):
            done = [draft for draft in group.items if draft.problem is None]
            for draft in group.items:
                if draft.problem is not None:
                    rejects.add(draft.row.id, draft.problem.reason, str(draft.problem))
            lengths.add([draft.caption_tokens or 0 for draft in done])
            yield _batch(done, self._extras)
        lengths.tell()

    def metadata(self) -> dict[str, Any]:
        """Return what the field's metadata says of its captions."""
        first = self._writers[0]
        generation = asdict(first.generation)
        del generation["attempt"]  # which the source of each caption has
        scorer = {} if first.scorer is None else first.scorer.metadata()
        return {
            "model_id": first.captioner.name,
            "revision": first.captioner.revision,
            "precision": first.captioner.precision,
            "generation": generation,
            "frame": asdict(first.frame),
            **scorer,
        }

    def close(self) -> None:
        """Stop the threads that prepare images, and the captioners."""
        self._feed.close()
        for writer in self._writers:
            writer.captioner.close()


_TOO_LARGE: Final = UnusableError("out_of_memory", "does not fit in the memory, even alone")


def _lot(row_id: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}:alt:{row_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _poor(text: str) -> bool:
    return repeats(text) or refuses(text)


def _good(candidates: Sequence[str]) -> list[str]:
    """Return the candidates that are no poor text, cleaned; or all that are a text, if none is."""
    cleaned = [text for text in map(clean, candidates) if not is_blank(text)]
    return [text for text in cleaned if not _poor(text)] or cleaned


def _fittest(candidates: Sequence[str], scores: Sequence[float]) -> str:
    # A candidate without a score loses against any that has one.
    return candidates[int(np.nan_to_num(scores, nan=-2).argmax())] if candidates else ""


def _batch(drafts: Sequence[Draft], extras: Sequence[str]) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {
        "id": pa.array([draft.row.id for draft in drafts], pa.string()),
        "caption": pa.array([draft.text for draft in drafts], pa.string()),
    }
    for name in extras:
        values = [getattr(draft, _ATTRIBUTES.get(name, name)) for draft in drafts]
        columns[name] = pa.array(values, EXTRA_COLUMNS[name])
    return pa.record_batch(columns)
