"""Models: loading them safely, feeding them well, and running them as fast as the machine allows.

`hub` finds a model's files, `device` chooses where and how precisely it runs, `preparation` makes
its inputs from image bytes, `feed` prepares ahead of the device, `batching` fits batches to the
memory. `embedders` and `captioners` are the models themselves.
"""

from importlib.metadata import PackageNotFoundError, version

import torch


def _let_torchvision_be_imported() -> None:
    """Make torchvision's wheel for CUDA importable beside a torch for CPUs.

    It wants two operators registered that such a torch has no place for, and `transformers` imports
    it as soon as it is installed. Nothing here calls them.
    """
    try:
        foreign = torch.version.cuda is None and "+cpu" not in version("torchvision")
    except PackageNotFoundError:
        return
    if foreign:
        operators = torch.library.Library("torchvision", "FRAGMENT")
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(operators)  # the operators are gone when it is


_kept: list[torch.library.Library] = []
_let_torchvision_be_imported()
