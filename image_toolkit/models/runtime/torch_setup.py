"""What is done about torch before a process loads its first model; nothing is done at import.

`loading.loading()`, through which every model goes, calls `prepare_torch()` first. That comes soon
enough: `import transformers` brings neither torch nor torchvision, which come with the first of its
classes that needs them. So the modules here name those of its classes that read images, and what
they find by a model's name, where they are used: `transformers.AutoImageProcessor`.
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
    """Let torchvision be imported, and have torch start no more threads than there are cores.

    Only the first call in a process does anything.
    """
    _let_torchvision_be_imported()
    _spare_threads()


def _let_torchvision_be_imported() -> None:
    """Import torchvision, where it is installed, even if its library was made for another torch.

    `transformers` imports it as soon as it is installed. It then wants two operators that its
    library brings, and this cannot be loaded where it was made for CUDA and torch for CPUs. Nothing
    here calls them.
    """
    try:
        import_module("torchvision")
    except ImportError:
        return  # not installed, or broken in a way that its next import reports
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
    _kept.append(operators)  # the operators are gone when it is
    import_module("torchvision")


def _spare_threads() -> None:
    """Have torch start no more threads than this process may use cores.

    It counts the cores that it sees, of which a container with a quota gets the time of a few.
    """
    torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))
