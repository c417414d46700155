"""Estimating the yield of images by HEAD requests for a sample, before the download."""

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from image_toolkit.crawl.fetcher import Fetched, Fetcher, Ticket

logger = logging.getLogger(__name__)

LOOKED_AT: Final = 10_000
"""The number of first rows that the sample is drawn from."""

_LEAST: Final = 20
_LONGEST: Final = 60.0
_NO_HEADS: Final = frozenset({"http_405", "http_501"})
_CONFIDENCE: Final = 1.96  # standard deviations: 95 %


@dataclass
class _Answers:
    wanted: int
    count: int = 0
    alive: int = 0
    all_in: threading.Event = field(default_factory=threading.Event)

    def take(self, fetched: Fetched) -> None:
        """Count an answer. On the fetching thread, or before the URL is queued."""
        self.count += 1
        self.alive += _is_alive(fetched)
        if self.count == self.wanted:
            self.all_in.set()


def tell_yield(fetcher: Fetcher, urls: Sequence[str | None], rows: int, most: int) -> None:
    """Estimate and log the share of `rows` that will give an image, from the first rows' URLs.

    A HEAD request is sent to at most `most` URLs, and at most a tenth of the rows; to none if there
    are too few rows for an estimate. A URL without an answer within a minute counts as dead.
    """
    count = min(most, rows // 10, len(urls))
    if count < _LEAST:
        return
    sample = random.Random(0).sample(list(urls), count)  # noqa: S311 - the same ones each time
    answers = _Answers(count)
    tickets = [fetcher.submit(url, answers.take, head_only=True) for url in sample]
    if not answers.all_in.wait(_LONGEST):
        _give_up(fetcher, tickets)
        answers.all_in.wait(1)
    low, high = interval(answers.alive, count)
    share = answers.alive / count
    logger.info(
        "of %d sampled URLs %.0f %% answer (%.0f-%.0f %%): were all %s fetched, about %s would "
        "give an image, less those that are too small or no images.",
        *(count, 100 * share, 100 * low, 100 * high, f"{rows:,}", f"{round(share * rows):,}"),
    )


def interval(hits: int, count: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share, at 95 %."""
    share, z = hits / count, _CONFIDENCE
    middle = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _give_up(fetcher: Fetcher, tickets: Sequence[Ticket | None]) -> None:
    for ticket in tickets:
        if ticket is not None:
            fetcher.cancel(ticket)


def _is_alive(fetched: Fetched) -> bool:
    """Return whether a URL may give an image; a host may not support HEAD."""
    if fetched.reply is None:
        return fetched.error is not None and fetched.error.reason in _NO_HEADS
    return not (fetched.reply.header("content-type") or "").lower().startswith("text/")
