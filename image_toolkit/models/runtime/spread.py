"""Work in threads, with results in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


def spread(
    workers: Sequence[Callable[[Given], Result]],
    inputs: Iterator[Given],
    *,
    waiting: int = 0,
) -> Iterator[tuple[Given, Result]]:
    """Run each input on whichever worker (device) is free; yield inputs and results in order.

    A single worker runs in the caller's thread; more get one thread each. While one is slow, the
    others go on until `waiting` results are queued behind its own.
    """
    if len(workers) == 1:
        yield from ((given, workers[0](given)) for given in inputs)
        return
    idle: SimpleQueue[Callable[[Given], Result]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def work(given: Given) -> Result:
        worker = idle.get()
        try:
            return worker(given)
        finally:
            idle.put(worker)

    pending: deque[tuple[Given, Future[Result]]] = deque()
    with ThreadPoolExecutor(len(workers), "device") as pool:
        for given in inputs:
            pending.append((given, pool.submit(work, given)))
            if len(pending) > len(workers) + waiting:
                first, future = pending.popleft()
                yield first, future.result()
        for given, future in pending:
            yield given, future.result()


def delayed(results: Iterator[Result], count: int) -> Iterator[Result]:
    """Yield each result once `count` more are drawn, so that these are in progress meanwhile."""
    drawn: deque[Result] = deque()
    for result in results:
        drawn.append(result)
        if len(drawn) > count:
            yield drawn.popleft()
    yield from drawn
