"""Set up torch before a process loads its first model; nothing happens at import.

`loading.loading()`, through which every model is loaded, calls `prepare_torch()` first. That is
soon enough: `import transformers` imports neither torch nor torchvision; the first of its classes
that needs them does. So modules here refer to image classes, and to those found by a model's name,
only where they are used, as `transformers.AutoImageProcessor`.
"""

import sys
from functools import cache
from importlib import import_module
from typing import Final

import torch

from fondant_spec.cpu import cpu_count

_UNREGISTERED: Final = "operator torchvision::nms does not exist"
_OPERATORS: Final = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[torch.library.Library] = []


@cache
def prepare_torch() -> None:
    """Make torchvision importable, and limit torch's threads to the available cores.

    Only the first call in a process does anything.
    """
    _let_torchvision_be_imported()
    _spare_threads()


def _let_torchvision_be_imported() -> None:
    """Import torchvision, if it is installed, even if its library was built for another torch.

    `transformers` imports it whenever it is installed. It then requires two operators from its
    library, which cannot be loaded if it was built for CUDA and torch for CPUs. Nothing here calls
    them.
    """
    try:
        import_module("torchvision")
    except ImportError:
        return  # not installed, or broken, which its next import reports
    except RuntimeError as error:
        if _UNREGISTERED not in str(error):
            raise
        _stand_in_for_operators()


def _stand_in_for_operators() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        operators.define(operator)
    _kept.append(operators)  # the operators exist as long as it does
    import_module("torchvision")


def _spare_threads() -> None:
    """Limit torch's threads to the cores that this process may use.

    torch counts the visible cores, of which a container with a CPU quota gets only a part.
    """
    torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))
