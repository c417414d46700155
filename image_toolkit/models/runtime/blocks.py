"""Memory blocks for the pixels of a batch, which other processes and a GPU may share.

A shared block has no name, so that nothing of it is left however this process ends, and is not in
/dev/shm, which is limited to 64 MB in a container. A GPU reads it directly once it is registered
with the driver.
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
    """Memory for so many images: uint8, shape (images, height, width, 3).

    `file` is the descriptor through which other processes map the same memory; None if not shared.
    """

    def __init__(
        self, count: int, shape: tuple[int, int, int], *, pinned: bool, shared: bool
    ) -> None:
        """Allocate memory; if `pinned`, of the kind that a GPU reads directly."""
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
    """Register memory with the driver; return whether that worked: if not, batches are copied."""
    if _refused:
        return False

    def call() -> None:
        torch.cuda.check_error(
            torch.cuda.cudart().cudaHostRegister(address, size, _FOR_ALL_DEVICES)
        )

    # A failure stays its thread's last error, which the next kernel in that thread would raise.
    with ThreadPoolExecutor(1) as apart:
        refusal = apart.submit(call).exception()
    if refusal is None:
        return True
    _refused.append(str(refusal))
    logger.warning("Shared memory is not pinned, so batches are copied once more: %s.", refusal)
    return False
