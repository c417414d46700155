"""The only access to `models.cpu` and `models.gpu`, which rely on private parts of libraries.

Nothing else imports from there, so that unknown versions of torch and transformers do no harm
before they are checked. Without usable private parts, each function does what the libraries do.
"""

from torch import nn

from image_toolkit.models.runtime.checked_versions import private_parts_usable
from image_toolkit.models.runtime.device import Placement, unable_in_int8


def speed_up(model: nn.Module, placement: Placement) -> nn.Module:
    """Move a model to its placement, and make it fast there, in place.

    Raises:
        InvalidArgumentError: the placement is in int8, which needs private parts.
    """
    if placement.is_cuda:
        if private_parts_usable("transformers"):
            from image_toolkit.models.gpu import quick_gelu  # noqa: PLC0415 - see above

            quick_gelu.fold_quick_gelu(model)
        return model.to(placement.device, placement.dtype)
    if private_parts_usable():
        from image_toolkit.models.cpu import fast_cpu  # noqa: PLC0415 - see above

        return fast_cpu.speed_up(model, placement)
    if placement.precision == "int8":
        raise unable_in_int8()
    return model.to(placement.device, placement.dtype)


def fuse_attention(model: nn.Module) -> None:
    """Make the image towers in a model use PyTorch's fused attention, in place: for GPUs.

    Only BLIP's needs it; the others use it by themselves.
    """
    if private_parts_usable("transformers"):
        from image_toolkit.models.gpu import blip_attention  # noqa: PLC0415 - see above

        blip_attention.attend_with(blip_attention.fused_attention, model)


def only_first_token(model: nn.Module) -> None:
    """Patch the CLIP image towers in a model so that they compute only the tokens that are read."""
    if private_parts_usable():
        from image_toolkit.models.cpu import first_token  # noqa: PLC0415 - see above

        first_token.only_first_token(model)
