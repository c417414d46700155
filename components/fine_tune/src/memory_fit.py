"""How many examples go through the model at once: halved each time that memory runs out.

A step's gradient is the sum over its examples, so it can be computed in chunks of any size; the
result is the same except for rounding.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from image_toolkit.models.runtime.out_of_memory import DoesNotFitError, is_out_of_memory

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Made = TypeVar("Made")


class MemoryFit:
    """The maximal number of examples that go through the model at once.

    Args:
        batch_size: as configured.
        accumulated: the number of batches per step.
    """

    def __init__(self, batch_size: int, accumulated: int) -> None:
        self.most = batch_size
        self._asked = batch_size
        self._accumulated = accumulated

    def run(self, attempt: Callable[[], Made], anybody: Callable[[bool], bool] = bool) -> Made:
        """Return the result of `attempt`, which is repeated with smaller chunks if necessary.

        `anybody` is given whether memory ran out here, and returns whether it did in any of the
        processes that train together.

        Raises:
            DoesNotFitError: memory runs out with a single example.
        """
        while True:
            made: list[Made] = []
            try:
                made.append(attempt())
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, so that the traceback, which keeps the tensors alive, is gone.
            if not anybody(not made):
                return made[0]
            self._halve()

    def pieces(self, examples: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Yield examples in chunks that fit."""
        for start in range(0, len(examples), self.most):
            yield examples[start : start + self.most]

    def _halve(self) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.most == 1:
            msg = (
                "fine_tune: memory runs out with one image at a time. Set gradient_checkpointing, "
                "or a smaller resolution, or method lora, or mixed_precision bf16 or fp16; or use "
                "a device with more memory."
            )
            raise DoesNotFitError(msg)
        before, self.most = self.most, self.most // 2
        logger.warning(
            "Out of memory with batches of %d: going on with train_batch_size %d and "
            "gradient_accumulation_steps %d, with which a step learns the same.",
            before,
            self.most,
            -(-self._asked * self._accumulated // self.most),
        )
