"""Counts of rows: how far some work is, as a line between programs and in words."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Final

from fondant_spec.plain_words import duration, size

_MARK: Final = "fondant-progress: "


@dataclass(frozen=True)
class Counts:
    """How far some work is.

    Attributes:
        rows: that are done.
        total: of how many, if that is known.
        lost: those of them that came to nothing.
        before: those of them that an earlier attempt did.
        memory: bytes that the processes at work here take, if that is known.
    """

    rows: int = 0
    total: int | None = None
    lost: int = 0
    before: int = 0
    memory: int | None = None

    def to_line(self) -> str:
        """Return the line that `read_counts` understands."""
        return f"{_MARK}{json.dumps(asdict(self))}\n"


def read_counts(line: str) -> tuple[str, Counts | None]:
    """Return a line of a step's output without the counts in it, and these, if it has any.

    What a step prints without ending the line stands before them.
    """
    text, mark, counts = line.partition(_MARK)
    if not mark:
        return line, None
    try:
        return text, Counts(**json.loads(counts))
    except (ValueError, TypeError):  # what only looks like ours
        return line, None


def describe_counts(counts: Counts, speed: float | None, seconds: float) -> str:
    """Return counts as `120/422, 8.1/s, 38 s left, 98.3 % ok (2 lost), 812 MB`.

    Args:
        counts: how far the work is.
        speed: rows a second, without those of an earlier attempt, if that is known yet.
        seconds: since the work began.
    """
    parts = []
    if counts.total is not None:
        parts.append(f"{counts.rows:,}/{counts.total:,.0f}")
    elif counts.rows:
        parts.append(f"{counts.rows:,}")
    if speed and counts.rows:
        parts.append(f"{speed:.0f}/s" if speed >= 10 else f"{speed:.1f}/s")  # noqa: PLR2004
    remaining = math.ceil((counts.total - counts.rows) / speed) if speed and counts.total else 0
    parts.append(f"{duration(remaining)} left" if remaining > 0 else duration(seconds))
    if counts.rows:
        parts.append(_success(counts))
    if counts.memory:
        parts.append(size(counts.memory))
    return ", ".join(parts)


def _success(counts: Counts) -> str:
    """Return the share of rows that came out, never rounded up to all of them."""
    share = math.floor(1000 * (counts.rows - counts.lost) / counts.rows) / 10
    return f"{share:.1f} % ok ({counts.lost:,} lost)" if counts.lost else "100 % ok"
