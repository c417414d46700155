"""Whether a model fits on its device, and the error if it does not."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import nn

from fondant_spec.plain_words import size
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.out_of_memory import DoesNotFitError, is_out_of_memory


@contextmanager
def placing(name: str, model: nn.Module, placement: Placement) -> Iterator[None]:
    """Report what a model needs and what is available, if it does not fit on its device.

    Raises:
        DoesNotFitError: it does not fit.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        return
    # Outside the handler: the traceback, which keeps parts of the model alive, is gone by now.
    needed = sum(weight.numel() for weight in model.parameters()) * placement.dtype.itemsize
    model.to("meta")  # frees what was already placed
    free, total = memory_of(placement.device)
    msg = (
        f"Model {name!r} does not fit on {placement.device}: its weights alone take "
        f"{size(needed)} in {placement.precision}, and {size(free)} of {size(total)} are free. End "
        f"what else uses that memory, or choose a smaller model or another device."
    )
    raise DoesNotFitError(msg)


def memory_of(device: torch.device) -> tuple[int, int]:
    """Return a device's memory in bytes: free for this process, and total."""
    if device.type != "cuda":
        memory = psutil.virtual_memory()
        return memory.available, memory.total
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    # A process may be limited to a share of the card; older releases do not report it.
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _device: 1.0)(device)
    return min(free, int(share * total) - torch.cuda.memory_reserved(device)), total
