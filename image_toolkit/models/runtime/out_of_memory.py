"""Recognise out-of-memory errors."""

from typing import Final

import torch

from fondant_spec.errors import InputDataError

_SIGNS: Final = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "bad allocation",
    "status_alloc_failed",  # from cuBLAS and cuDNN
)


class DoesNotFitError(InputDataError):
    """A model is too large for the free memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device, or the machine, ran out of memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError, DoesNotFitError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
