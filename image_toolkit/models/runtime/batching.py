"""Batches as large as memory permits: halved when it runs out, grown again when there is room."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import torch

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_CALM_BATCHES: Final = 16


def check_asked(batch_size: int) -> None:
    """Check a batch size given by the user: 0 chooses by the memory.

    Raises:
        InvalidArgumentError: it is negative.
    """
    if batch_size < 0:
        msg = f"batch_size: {batch_size} is below 0; 0 chooses by the memory."
        raise InvalidArgumentError(msg)


class BatchSize:
    """How many items go to the model at once.

    Starts at `start`. Every out-of-memory failure halves it; every `calm` full batches in a row
    without one double it, up to `most`. After each failure, four times as many calm batches are
    needed to grow again, since memory may have been short only for a moment.
    """

    def __init__(self, start: int, most: int | None = None, calm: int = _CALM_BATCHES) -> None:
        self.now = start
        self.most = max(start, most or start)
        self.halvings = 0
        self._calm = calm
        self._patience = calm
        self._quiet = 0

    def failed(self, size: int) -> None:
        """Record that a batch of `size` items did not fit."""
        # Another thread may have halved it in the meantime, for a batch as large as this one.
        self.now = max(1, min(self.now, size // 2))
        self.halvings += 1
        self._patience = min(self._patience * 4, self._calm * 256)
        self._quiet = 0
        logger.warning("Out of memory with a batch of %d; going on with %d.", size, self.now)

    def succeeded(self, size: int) -> None:
        """Record that a batch of `size` items succeeded."""
        if size < self.now or self.now >= self.most:
            return
        self._quiet += 1
        if self._quiet >= self._patience:
            self.now = min(self.most, self.now * 2)
            self._quiet = 0


def run_batch(
    items: Sequence[Item],
    run: Callable[[Sequence[Item]], Iterable[Result]],
    size: BatchSize,
) -> list[Result | None]:
    """Run a model over items, in smaller pieces if memory requires it.

    Returns:
        One result per item, in order; None for an item that does not fit even alone.
    """
    results: list[Result | None] = []
    position = 0
    while position < len(items):
        piece = items[position : position + size.now]
        fit = _try(piece, run)
        if fit is not None:
            size.succeeded(len(piece))
            results.extend(fit)
        elif len(piece) == 1:
            results.append(None)
        else:
            size.failed(len(piece))
            continue
        position += len(piece)
    return results


def _try(
    piece: Sequence[Item],
    run: Callable[[Sequence[Item]], Iterable[Result]],
) -> Iterable[Result] | None:
    """Return the results, or None if memory ran out; the failed tensors are then released."""
    try:
        return run(piece)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler: the traceback, which keeps the batch's tensors alive, is gone by now.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
