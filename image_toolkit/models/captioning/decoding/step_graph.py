"""Steps in CUDA graphs: one launch for some hundred."""

from collections.abc import Callable
from threading import Lock
from typing import Any, Final

import torch

_CAPTURING: Final = Lock()
"""A process may capture one graph at a time."""


class StepGraphs:
    """The graphs of one device, which share their memory: one of them runs at a time.

    A step is captured when it is called for the second time, and replayed from then on. The first
    time it runs as it is, which loads its kernels and the libraries that they are of: while a graph
    is captured that must not happen. All that a step changes lies in memory that was there before,
    so nothing is lost of what it did.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._live: list[Any] = []

    def run_apart(self, step: Callable[[], None]) -> None:
        """Run a step on the stream on which steps are captured."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step()
        current.wait_stream(self._stream)

    def capture(self, step: Callable[[], None]) -> Any:
        """Return a graph of a step, which does not run meanwhile.

        Raises:
            torch.OutOfMemoryError: there is no memory left for it.
        """
        graph = torch.cuda.CUDAGraph()
        pool = self._live[0].pool() if self._live else None
        is_short = False
        try:
            # A capture that fails leaves its stream the current one. Other threads may ask the
            # driver for memory meanwhile.
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
                # Ending such a capture failed as well, which hides why.
                msg = "CUDA out of memory while a graph was captured"
                raise torch.OutOfMemoryError(msg) from error
            raise
        self._live.append(graph)
        return graph

    def forget(self, graph: Any) -> None:
        """Give back the memory of a graph."""
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
        """Do what the step does.

        Raises:
            torch.OutOfMemoryError: there is no memory left for it, or for its graph.
        """
        if not self._ran:
            self._graphs.run_apart(self._step)
            self._ran = True
            return
        if self._graph is None:
            self._graph = self._graphs.capture(self._step)
        self._graph.replay()

    def forget(self) -> None:
        """Give back the memory of the graph; no more calls then."""
        if self._graph is not None:
            self._graphs.forget(self._graph)
            self._graph = None
