"""Row counts as a measure of progress, serialised for other programs and formatted for people."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Final

from fondant_spec.plain_words import duration, size

_MARK: Final = "fondant-progress: "


@dataclass(frozen=True)
class Counts:
    """How far some work has progressed.

    Attributes:
        rows: finished rows.
        total: all rows, if known.
        lost: finished rows that produced nothing.
        before: finished rows that an earlier attempt did.
        memory: bytes of memory that the processes of this work use, if known.
    """

    rows: int = 0
    total: int | None = None
    lost: int = 0
    before: int = 0
    memory: int | None = None

    def to_line(self) -> str:
        """Serialise the counts as a line for `read_counts`."""
        return f"{_MARK}{json.dumps(asdict(self))}\n"


def read_counts(line: str) -> tuple[str, Counts | None]:
    """Split a line of a step's output into the text without counts, and the counts if it has any.

    The text is what the step printed before them without ending its line.
    """
    text, mark, counts = line.partition(_MARK)
    if not mark:
        return line, None
    try:
        return text, Counts(**json.loads(counts))
    except (ValueError, TypeError):  # only looks like counts
        return line, None


def describe_counts(counts: Counts, speed: float | None, seconds: float) -> str:
    """Format counts as `120/422, 8.1/s, 38 s left, 98.3 % ok (2 lost), 812 MB`.

    Args:
        counts: how far the work has progressed.
        speed: rows per second, without those of an earlier attempt, if known yet.
        seconds: time since the work began.
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
    """Format the share of rows that succeeded; never rounded up to 100 %."""
    share = math.floor(1000 * (counts.rows - counts.lost) / counts.rows) / 10
    return f"{share:.1f} % ok ({counts.lost:,} lost)" if counts.lost else "100 % ok"
