"""Download statistics: a live line, and a table of failures by reason and host at the end."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pictures import Outcome

from fondant_spec.progress import SECONDS_BETWEEN_LINES

logger = logging.getLogger(__name__)

_TOP: Final = 5


class Tally:
    """Counts the outcomes of rows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start = self._last = time.monotonic()
        self._pictures = 0
        self._rows = 0
        self._bytes = 0
        self._reasons: Counter[str] = Counter()
        self._hosts: Counter[tuple[str, str]] = Counter()
        self._seeds = self._short = self._missing = 0

    def count(self, outcome: Outcome) -> None:
        """Count a settled row, and log progress from time to time."""
        with self._lock:
            self._rows += 1
            self._bytes += outcome.fetched_bytes
            if outcome.picture is not None:
                self._pictures += 1
            else:
                self._reasons[outcome.reason] += 1
                self._hosts[outcome.host or "-", outcome.reason] += 1
            due = time.monotonic() - self._last >= SECONDS_BETWEEN_LINES
            if due:
                self._last = time.monotonic()
        if due:
            logger.info("%s", self.line())

    def count_seeds(self, missing: Sequence[int]) -> None:
        """Count seeds whose rows are settled, given how many images each is missing."""
        with self._lock:
            self._seeds += len(missing)
            self._short += sum(map(bool, missing))
            self._missing += sum(missing)

    def log(self) -> None:
        """Log the final statistics, and the table of losses."""
        logger.info("%s", self.line())
        if self._reasons:
            logger.info("lost, by reason, with the hosts that lost most:\n%s", self.table())
        if self._short:
            logger.warning(
                "%d of %d seeds are short of images, by %d in all: their URLs are used up; "
                "have the retrieval give more (spares of laion_retrieval).",
                self._short,
                self._seeds,
                self._missing,
            )

    def line(self) -> str:
        """Format the rate, the success rate, bytes per second and the top reasons."""
        seconds = max(time.monotonic() - self._start, 1e-3)
        share = 100 * self._pictures / max(self._rows, 1)
        parts = [
            f"{self._rows} URLs",
            f"{self._pictures / seconds:.0f} images/s",
            f"{share:.1f} % gave an image",
            f"{self._bytes / seconds / 1e6:.1f} MB/s",
        ]
        top = ", ".join(
            f"{reason} {100 * count / self._rows:.1f} %"
            for reason, count in self._reasons.most_common(_TOP)
        )
        return ", ".join(parts) + (f"; lost to {top}" if top else "")

    def table(self) -> str:
        """Format the losses by reason, and for each the hosts that lost most."""
        lines = []
        for reason, count in self._reasons.most_common():
            hosts = Counter({h: n for (h, why), n in self._hosts.items() if why == reason})
            worst = ", ".join(f"{host} {n}" for host, n in hosts.most_common(3))
            lines.append(f"{count:>8}  {reason:<22} {worst}")
        return "\n".join(lines)
