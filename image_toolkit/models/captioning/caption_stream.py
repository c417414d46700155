"""Captioning as a stream: rows in, captions out."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.captioning.caption_lengths import CaptionLengths
from image_toolkit.models.captioning.caption_writer import CaptionWriter
from image_toolkit.models.captioning.drafts import (
    Draft,
)
from image_toolkit.models.runtime.feed import Feed
from image_toolkit.models.runtime.feed_rows import rows_of
from image_toolkit.models.runtime.preparing_processes import PreparingProcesses
from image_toolkit.models.runtime.spread import spread

logger = logging.getLogger(__name__)

MORE_CAPTIONS: Final = "more_captions"
_ATTRIBUTES: Final = {"caption_source": "source", MORE_CAPTIONS: "further"}
EXTRA_COLUMNS: Final = {
    "clip_score": pa.float32(),
    "caption_tokens": pa.int32(),
    "caption_source": pa.string(),
    MORE_CAPTIONS: pa.list_(pa.string()),
}
"""Columns that a step may request in addition to the caption."""


class Captioning:
    """Captions the rows of partitions, with a writer per device, or one writer in many threads."""

    def __init__(
        self,
        writers: Sequence[CaptionWriter],
        extras: Sequence[str],
        *,
        ahead: int,
        pinned: bool = False,
        waiting: int = 0,
        processes: PreparingProcesses | None = None,
    ) -> None:
        self._writers = writers
        self._waiting = waiting
        self._extras = extras
        first = writers[0]
        self._feed: Feed[Draft] = Feed(
            first.prepare,
            lambda: first.size.now,
            ahead=ahead,
            # Captioners in their own processes receive the pixels first.
            pinned=pinned and len(writers) == 1,
            into=first.preparations,
            processes=processes,
        )

    @property
    def partitions_at_once(self) -> int:
        """The number of partitions to caption concurrently."""
        return self._feed.partitions_at_once

    def batches(
        self,
        batches: Iterator[pa.RecordBatch],
        rejects: Rejects,
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id`, `caption` and the extra columns of the rows that can be captioned."""
        rows = rows_of(batches, "image", self._writers[0].fields)
        groups = self._feed.groups(rows, rejects)
        lengths = CaptionLengths(self._writers[0].scorer)
        missed: Counter[str] = Counter()
        writers = [writer.write for writer in self._writers]
        for group, _ in spread(writers, groups, waiting=self._waiting):
            done = [draft for draft in group.items if draft.problem is None]
            for draft in group.items:
                if draft.problem is not None:
                    rejects.add(draft.row.id, draft.problem.reason, str(draft.problem))
            lengths.add([draft.caption_tokens or 0 for draft in done])
            missed.update(error.reason for draft in done for error in draft.missed)
            yield _batch(done, self._extras)
        lengths.tell()
        if missed:
            told = ", ".join(f"{reason} {count:,}" for reason, count in missed.items())
            logger.warning("Further captions that could not be had: %s.", told)

    def metadata(self) -> dict[str, Any]:
        """Return the field metadata for the captions."""
        first = self._writers[0]
        generation = asdict(first.asks[0].generation)
        del generation["attempt"]  # part of each caption's source
        scorer = {} if first.scorer is None else first.scorer.metadata()
        return {
            "model_id": first.captioner.name,
            "revision": first.captioner.revision,
            "precision": first.captioner.precision,
            "generation": generation,
            "frame": asdict(first.frame),
            **({"prompts": [ask.prompt for ask in first.asks]} if len(first.asks) > 1 else {}),
            **scorer,
        }

    def close(self) -> None:
        """Stop the feed and the captioners."""
        self._feed.close()
        for captioner in {id(one): one.captioner for one in self._writers}.values():
            captioner.close()


def _batch(drafts: Sequence[Draft], extras: Sequence[str]) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {
        "id": pa.array([draft.row.id for draft in drafts], pa.string()),
        "caption": pa.array([draft.text for draft in drafts], pa.string()),
    }
    for name in extras:
        values = [getattr(draft, _ATTRIBUTES.get(name, name)) for draft in drafts]
        columns[name] = pa.array(values, EXTRA_COLUMNS[name])
    return pa.record_batch(columns)
