"""Progress of long work: rows, rate, time left, rejects.

A bar on a terminal; plain log lines, some seconds apart, anywhere else.
"""

import logging
import sys
import time
from threading import Lock
from types import TracebackType
from typing import Final, Self

from tqdm import tqdm

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 10.0


class Progress:
    """Counts rows of a step and tells how it goes; `total` is None where nobody knows."""

    def __init__(self, step: str, total: int | None) -> None:
        self._step = step
        self._total = total
        self._lock = Lock()
        self._rows = 0
        self._rejects = 0
        self._start = self._last = time.monotonic()
        terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=step, unit="row", unit_scale=True) if terminal else None

    def advance(self, rows: int, rejects: int = 0) -> None:
        """Count rows that are done, and those of them that were rejected; from any thread."""
        with self._lock:
            self._count(rows, rejects)

    def _count(self, rows: int, rejects: int) -> None:
        self._rows += rows
        self._rejects += rejects
        if self._bar is not None:
            self._bar.update(rows)
            self._bar.set_postfix(rejects=self._rejects)
        elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            logger.info("%s", self._line())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            logger.info("%s", self._line())

    def _line(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-3)
        rate = self._rows / seconds
        of_total = f"/{self._total}" if self._total is not None else ""
        line = f"{self._step}: {self._rows}{of_total} rows, {rate:.1f} rows/s"
        if self._total and self._rows and self._rows < self._total:
            line += f", {(self._total - self._rows) / rate:.0f} s left"
        return f"{line}, {self._rejects} rejects"
