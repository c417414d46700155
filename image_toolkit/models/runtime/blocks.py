"""Blocks of memory for the pixels of a batch, which other processes and a GPU may share.

A shared one has no name, so that nothing of it is left however this process ends, and is no part of
/dev/shm, of which a container has 64 MB. A GPU reads it directly once the driver knows it.
"""

import logging
import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from weakref import finalize

import torch

logger = logging.getLogger(__name__)

_FOR_ALL_DEVICES = 1  # cudaHostRegisterPortable


class Block:
    """Memory for so many images: uint8 of shape (images, height, width, 3).

    `file` is a descriptor by which other processes have the same memory; None if it is not shared.
    """

    def __init__(
        self, count: int, shape: tuple[int, int, int], *, pinned: bool, shared: bool
    ) -> None:
        """Take memory; where `pinned`, of the kind that a GPU reads directly."""
        self.file: int | None = None
        if not shared:
            self.images = torch.empty((count, *shape), dtype=torch.uint8, pin_memory=pinned)
            return
        self.file = os.memfd_create("batch")
        size = count * shape[0] * shape[1] * shape[2]
        os.ftruncate(self.file, size)
        memory = torch.frombuffer(mmap.mmap(self.file, size), dtype=torch.uint8)
        known = pinned and _register(memory.data_ptr(), size)
        finalize(self, _let_go, self.file, memory.data_ptr() if known else None).atexit = False
        self.images = memory.view(count, *shape)


def _let_go(file: int, registered: int | None) -> None:
    os.close(file)
    if registered is not None:
        torch.cuda.cudart().cudaHostUnregister(registered)


_refused: list[str] = []


def _register(address: int, size: int) -> bool:
    """Have the driver know of memory, and return whether it does: without, batches are copied."""
    if _refused:
        return False

    def call() -> None:
        torch.cuda.check_error(
            torch.cuda.cudart().cudaHostRegister(address, size, _FOR_ALL_DEVICES)
        )

    # A refusal stays its thread's last error, which the next kernel of that thread would raise.
    with ThreadPoolExecutor(1) as apart:
        refusal = apart.submit(call).exception()
    if refusal is None:
        return True
    _refused.append(str(refusal))
    logger.warning("Shared memory is not pinned, so batches are copied once more: %s.", refusal)
    return False
