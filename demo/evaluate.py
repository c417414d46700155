"""The quality of a run, by the collection's ground truth, which no step of the pipeline reads.

Precision: the share of retrieved rows that show the seed's subject. Caption accuracy: the share of
captions that name what the image shows, and no other subject.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from demo.photos import SUBJECTS
from fondant_spec.errors import InputDataError

WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Score:
    """Counts for one subject, or for all.

    Attributes:
        subject: the seeds' subject, or "all".
        rows: the number of retrieved images.
        relevant: how many of them show the subject.
        captions: how many have a caption.
        right: how many captions name what the image shows, and no other subject.
    """

    subject: str
    rows: int
    relevant: int
    captions: int
    right: int

    @property
    def precision(self) -> float:
        """The share of relevant rows; 0 if there are no rows."""
        return self.relevant / self.rows if self.rows else 0.0

    @property
    def caption_accuracy(self) -> float:
        """The share of correct captions; 0 if there are no captions."""
        return self.right / self.captions if self.captions else 0.0


@dataclass(frozen=True)
class Evaluation:
    """The score of all rows, and of each seed subject in the order of `photos.SUBJECTS`."""

    overall: Score
    by_subject: tuple[Score, ...]

    def __str__(self) -> str:
        lines = [f"{'subject':<14}{'images':>7}{'precision':>11}{'captions':>10}{'right':>8}"]
        lines += [
            f"{score.subject:<14}{score.rows:>7}{score.precision:>11.1%}"
            f"{score.captions:>10}{score.caption_accuracy:>8.1%}"
            for score in (*self.by_subject, self.overall)
        ]
        return "\n".join(lines)


def read_truth(path: Path) -> dict[str, str]:
    """Return the subject behind each URL, from a collection's `truth.parquet`."""
    table = pq.read_table(path, columns=["url", "subject"])
    return dict(zip(table["url"].to_pylist(), table["subject"].to_pylist(), strict=True))


def names(caption: str) -> tuple[str, ...]:
    """Return the subjects that a caption names, in the order of `photos.SUBJECTS`."""
    words = set(WORD.findall(caption.lower()))
    return tuple(subject for subject in SUBJECTS if subject in words)


def evaluate(rows: pa.Table | Iterable[Mapping[str, Any]], truth: Mapping[str, str]) -> Evaluation:
    """Score retrieved, captioned images.

    Args:
        rows: each with `subject` (the seed's), `url` and, if captioned, `caption`.
        truth: the subject behind each URL, as returned by `read_truth`.

    Raises:
        InputDataError: a URL is not in the truth table.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows.to_pylist() if isinstance(rows, pa.Table) else rows:
        seed, shown = row["subject"], truth.get(row["url"])
        if shown is None:
            message = f"the URL {row['url']!r} is not in the truth table: was it made anew?"
            raise InputDataError(message)
        counts[seed, "rows"] += 1
        counts[seed, "relevant"] += shown == seed
        if row.get("caption") is not None:
            counts[seed, "captions"] += 1
            counts[seed, "right"] += names(row["caption"]) == (shown,)
    kinds = ("rows", "relevant", "captions", "right")
    seen = [subject for subject in SUBJECTS if counts[subject, "rows"]]
    by_subject = tuple(Score(seed, *(counts[seed, kind] for kind in kinds)) for seed in seen)
    totals = (sum(getattr(score, kind) for score in by_subject) for kind in kinds)
    return Evaluation(Score("all", *totals), by_subject)
