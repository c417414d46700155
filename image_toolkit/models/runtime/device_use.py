"""GPU utilisation of a model, which is logged at the end of a step."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from fondant_spec.plain_words import duration, size
from image_toolkit.models.runtime.device import Placement

logger = logging.getLogger(__name__)

Marks = tuple[torch.cuda.Event, torch.cuda.Event]


class DeviceUse:
    """Measures how long a GPU was busy with batches; does nothing on a CPU."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self.begin()

    def begin(self) -> None:
        """Count from the next batch on: those before were trials."""
        self._began = 0.0
        self._busy = 0.0
        self._marks: deque[Marks] = deque()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Count what is launched in the block, by events before and after it: nothing waits."""
        if not self._placement.is_cuda:
            yield
            return
        self._began = self._began or time.perf_counter()
        stream = torch.cuda.current_stream(self._placement.device)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record(stream)
        yield
        end.record(stream)
        self._marks.append((start, end))
        while self._marks and self._marks[0][1].query():
            self._add(*self._marks.popleft())

    def tell(self) -> None:
        """Log the GPU's busy share since the first batch, and its peak memory."""
        if self._began:
            with suppress(RuntimeError):  # a device that has failed no longer answers
                self._tell()

    def _tell(self) -> None:
        while self._marks:
            self._add(*self._marks.popleft())
        device, since = self._placement.device, time.perf_counter() - self._began
        logger.info(
            "%s was at work %.0f %% of %s since the first batch, and took %s of %s at most.",
            device,
            100 * self._busy / since,
            duration(since),
            size(torch.cuda.max_memory_reserved(device)),
            size(torch.cuda.get_device_properties(device).total_memory),
        )

    def _add(self, start: torch.cuda.Event, end: torch.cuda.Event) -> None:
        end.synchronize()
        self._busy += start.elapsed_time(end) / 1000
