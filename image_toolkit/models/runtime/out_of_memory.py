"""How want of memory is told from other errors."""

from typing import Final

import torch

from fondant_spec.errors import InputDataError

_SIGNS: Final = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "bad allocation",
    "status_alloc_failed",  # of cuBLAS and cuDNN
)


class DoesNotFitError(InputDataError):
    """A model that is too large for the memory that is free."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device, or the machine, has no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError, DoesNotFitError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
