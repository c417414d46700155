"""The way into what leans on private parts of torch and transformers: `models.cpu`, `models.gpu`.

Nothing else imports from there, so that other versions of both do no harm before it is known
that they are others. Each function is its plain counterpart where private parts are not usable.
"""

from torch import nn

from image_toolkit.models.runtime.checked_versions import private_parts_usable
from image_toolkit.models.runtime.device import Placement, unable_in_int8


def speed_up(model: nn.Module, placement: Placement) -> nn.Module:
    """Return a model where it is placed, made fast there in place.

    Raises:
        InvalidArgumentError: it is placed in int8, which is there with private parts only.
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
    """Have the image towers in a model attend with PyTorch's own kernel, in place: for GPUs.

    The others do so by themselves.
    """
    if private_parts_usable("transformers"):
        from image_toolkit.models.gpu import blip_attention  # noqa: PLC0415 - see above

        blip_attention.attend_with(blip_attention.fused_attention, model)


def only_first_token(model: nn.Module) -> None:
    """Patch the CLIP image towers in a model so that they compute only the tokens that are read."""
    if private_parts_usable():
        from image_toolkit.models.cpu import first_token  # noqa: PLC0415 - see above

        first_token.only_first_token(model)
