"""Peak memory of programs, in MB of 10^6 bytes, from whichever source."""

import threading

import psutil

_EVERY_S = 0.2


def megabytes(kib: float) -> float:
    """Convert KiB, as Linux reports in `ru_maxrss` and `/proc`, to MB."""
    return kib * 1024 / 1e6


class Watch:
    """Follows the memory of a process and all its children."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the peak of the total resident memory, in MB."""
        self._ended.set()
        self._thread.join()
        return self._peak / 1e6

    def _follow(self) -> None:
        while not self._ended.wait(_EVERY_S):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self._peak = max(self._peak, total)
