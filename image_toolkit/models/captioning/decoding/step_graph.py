"""Decoding steps as CUDA graphs: one launch instead of some hundred."""

from collections.abc import Callable
from threading import Lock
from typing import Any, Final

import torch

_CAPTURING: Final = Lock()
"""A process may capture only one graph at a time."""


class StepGraphs:
    """The graphs of a device, which share a memory pool: one of them runs at a time.

    A step is captured on its second call, and replayed from then on. The first call runs it
    eagerly, which loads its kernels and their libraries: that must not happen during a capture. A
    step only modifies memory that was allocated before, so its effects are kept.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._live: list[Any] = []

    def run_apart(self, step: Callable[[], None]) -> None:
        """Run a step on the capture stream."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step()
        current.wait_stream(self._stream)

    def capture(self, step: Callable[[], None]) -> Any:
        """Return a graph of a step, which does not run during the capture.

        Raises:
            torch.OutOfMemoryError: there is not enough memory for it.
        """
        graph = torch.cuda.CUDAGraph()
        pool = self._live[0].pool() if self._live else None
        is_short = False
        try:
            # A failed capture leaves its stream the current one. Other threads may allocate from
            # the driver in the meantime.
            with (
                _CAPTURING,
                torch.cuda.stream(torch.cuda.current_stream()),
                torch.cuda.graph(graph, pool, self._stream, capture_error_mode="thread_local"),
            ):
                try:
                    step()
                except torch.OutOfMemoryError:
                    is_short = True
                    raise
        except Exception as error:
            if is_short and not isinstance(error, torch.OutOfMemoryError):
                # Ending such a capture failed as well, which hides the cause.
                msg = "CUDA out of memory while a graph was captured"
                raise torch.OutOfMemoryError(msg) from error
            raise
        self._live.append(graph)
        return graph

    def forget(self, graph: Any) -> None:
        """Free the memory of a graph."""
        self._live.remove(graph)
        graph.reset()


class GraphedStep:
    """A step that becomes a graph."""

    def __init__(self, step: Callable[[], None], graphs: StepGraphs) -> None:
        self._step = step
        self._graphs = graphs
        self._graph: Any = None
        self._ran = False

    def __call__(self) -> None:
        """Run the step.

        Raises:
            torch.OutOfMemoryError: there is not enough memory for it, or for its graph.
        """
        if not self._ran:
            self._graphs.run_apart(self._step)
            self._ran = True
            return
        if self._graph is None:
            self._graph = self._graphs.capture(self._step)
        self._graph.replay()

    def forget(self) -> None:
        """Free the memory of the graph; it must not be called again."""
        if self._graph is not None:
            self._graphs.forget(self._graph)
            self._graph = None
