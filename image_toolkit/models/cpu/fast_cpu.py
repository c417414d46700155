"""Make a transformer fast on a CPU: fast linear layers, and attention that fits the cache."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from platform import machine
from typing import Any, Final, Self

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    PreTrainedModel,
    VisionEncoderDecoderConfig,
    ViTConfig,
)
from transformers.activations import GELUActivation, GELUTanh, QuickGELUActivation
from transformers.masking_utils import eager_mask
from transformers.modeling_outputs import ModelOutput

from image_toolkit.models.cpu.packed_layers import (
    Activation,
    ColoursFirst,
    MakeLayer,
    PackedLinear,
    PackedPatches,
)
from image_toolkit.models.cpu.quantised_layers import QuantisedLinear, RowQuantiser
from image_toolkit.models.cpu.tower_trial import best_piece
from image_toolkit.models.gpu.blip_attention import attend_with, fused_attention
from image_toolkit.models.runtime.device import Placement, multiplies_in_bf16
from image_toolkit.models.runtime.memory import keep_freed_memory
from image_toolkit.models.runtime.preparation import Normalise
from image_toolkit.models.runtime.scaled_layers import QUICK, scaled

_ATTENTION: Final = "cached_scores"
_COLOURS: Final = 3
_IMAGE_DIMENSIONS: Final = 4  # batch, colours, height, width
_ONEDNN: Final = torch.backends.mkldnn.is_available() and machine().lower() in ("x86_64", "amd64")
_PACKED: Final = ("fp32", "bf16", "int8")  # oneDNN packs fp16 on few CPUs only
_CACHE_BYTES: Final = 1_500_000  # per core
_GELU: Final = Activation("gelu", "none", torch.ops.aten.gelu_)
_GELU_TANH: Final = Activation("gelu", "tanh", partial(torch.ops.aten.gelu_, approximate="tanh"))
_SILU: Final = Activation("swish", "", partial(functional.silu, inplace=True))
_FUSED: Final[dict[type, tuple[Activation, float]]] = {
    GELUActivation: (_GELU, 1.0),
    nn.GELU: (_GELU, 1.0),
    GELUTanh: (_GELU_TANH, 1.0),
    QuickGELUActivation: (_SILU, QUICK),
}


def speed_up(model: nn.Module, placement: Placement) -> nn.Module:
    """Speed up a model that runs on a CPU, in place; it then computes in the placement's precision.

    Best applied while its weights are in fp32: they are then rounded once, after folding in
    factors.
    """
    if placement.device.type != "cpu" or not _ONEDNN or placement.precision not in _PACKED:
        return model.to(placement.device, placement.dtype)
    layers = _Layers.of(placement)
    words = _give_words(model)
    _attend_fast(model, placement)
    for module in list(model.modules()):
        _fuse_activation(module, layers.hidden)
        _fuse_normalising(module, layers.pixels)
    for module, name, child in _children(model):
        if type(child) is nn.Linear:
            make = layers.words if child in words else layers.hidden
            setattr(module, name, make(child))
        elif _cuts_patches(child):
            setattr(module, name, PackedPatches(child, layers.hidden))
    keep_freed_memory()  # from here on, so that the plain weights, now gone, are returned to the OS
    model = model.to(placement.dtype)
    _go_in_pieces(model)
    return model


def attention(
    _module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Compute attention in bf16, a few images at a time, with the signature of `transformers`.

    Two batched products, and a softmax whose scores stay in the cache, take 40 % of the time of
    `scaled_dot_product_attention` for 577 tokens and a third for 257, on a CPU with bf16
    instructions (Zen 5, one core): the fused kernel is written for fp32 and converts.

    `query` is (batch, heads, tokens, width), and the result (batch, tokens, heads, width).
    """
    batch, heads, tokens, width = query.shape
    scale = width**-0.5 if scaling is None else scaling
    result = query.new_empty(batch, tokens, heads, width)
    cached = _CACHE_BYTES * torch.get_num_threads()
    step = min(batch, max(1, cached // (2 * heads * tokens * key.shape[2])))
    # The OS clears newly allocated memory, which costs a third of a product: so the buffer is
    # reused.
    held = query.new_empty(step, heads, tokens, key.shape[2], dtype=torch.bfloat16)
    for start in range(0, batch, step):
        chunk = (part[start : start + step] for part in (query, key, value))
        q, k, v = (part.to(torch.bfloat16).contiguous() for part in chunk)
        scores = torch.matmul(q * scale, k.transpose(2, 3), out=held[: len(q)])
        if attention_mask is not None:
            scores += attention_mask[start : start + step]
        torch.softmax(scores, -1, out=scores)
        result[start : start + step] = torch.matmul(scores, v).transpose(1, 2)
    return result, None


@dataclass(frozen=True)
class _Layers:
    """How the layers of a model are made: one for pixels of 0 to 255, one for all others.

    `words` is for the output layer of a language model: its few products decide each word.
    """

    hidden: MakeLayer
    words: MakeLayer
    pixels: MakeLayer

    @classmethod
    def of(cls, placement: Placement) -> Self:
        """Return the layers for a placement."""
        packed = partial(PackedLinear, dtype=placement.dtype)
        if placement.precision != "int8":
            return cls(packed, packed, packed)
        return cls(
            partial(QuantisedLinear, quantiser=RowQuantiser()),
            packed,
            partial(QuantisedLinear, quantiser=None),
        )


def _children(model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """Return all modules below a model, each with its parent and its name there."""
    return [(one, name, child) for one in model.modules() for name, child in one.named_children()]


def _give_words(model: nn.Module) -> list[nn.Module]:
    """Return the output layers of a model, whose values are scores of its vocabulary."""
    models = [one for one in model.modules() if isinstance(one, PreTrainedModel)]
    return [layer for one in models if (layer := one.get_output_embeddings()) is not None]


def _go_in_pieces(model: nn.Module) -> None:
    """Make the image towers in a model process a few images at a time, whatever the batch size."""
    for tower in model.modules():
        if isinstance(tower, PreTrainedModel) and tower.main_input_name == "pixel_values":
            side = getattr(tower.config, "patch_size", None)
            if isinstance(side, int) and _sees(tower.config):
                tower.forward = _in_pieces(tower.forward, side, best_piece(tower))


def _in_pieces(whole: Callable[..., Any], side: int, tokens: int) -> Callable[..., Any]:
    """Return a tower's forward that processes its images in pieces of so many tokens per core.

    `side` is the side of a patch in pixels.
    """

    @wraps(whole)
    def forward(pixel_values: torch.Tensor, **options: Any) -> Any:
        # Other inputs per image (masks, sizes) would have to be split as well.
        if pixel_values.dim() != _IMAGE_DIMENSIONS or any(map(_is_data, options.values())):
            return whole(pixel_values=pixel_values, **options)
        patches = pixel_values.shape[-2] * pixel_values.shape[-1] // side**2
        size = tokens * torch.get_num_threads() // max(1, patches)
        pieces = pixel_values.split(max(1, size))
        return _joined([whole(pixel_values=piece, **options) for piece in pieces])

    return forward


def _is_data(option: Any) -> bool:
    return isinstance(option, torch.Tensor | list | tuple)


def _joined(parts: Sequence[Any]) -> Any:
    """Concatenate the outputs of the parts of a batch: tensors, and tuples of them."""
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(first, ModelOutput):
        return type(first)(**{name: _joined([part[name] for part in parts]) for name in first})
    return tuple(_joined(some) for some in zip(*parts, strict=True))


def _attend_fast(model: nn.Module, placement: Placement) -> None:
    """Make the image towers in a model use the fastest attention."""
    in_bf16 = placement.precision == "bf16" or (
        placement.precision == "int8" and multiplies_in_bf16()
    )
    AttentionInterface.register(_ATTENTION, attention)
    AttentionMaskInterface.register(_ATTENTION, eager_mask)
    attend_with(attention if in_bf16 else fused_attention, model)
    for module in model.modules():
        if in_bf16 and _sees(getattr(module, "config", None)):
            module.config._attn_implementation = _ATTENTION  # noqa: SLF001 - where it is looked up


def _cuts_patches(layer: nn.Module) -> bool:
    """Return whether a layer is a patch embedding: a convolution without overlap."""
    if type(layer) is not nn.Conv2d:
        return False
    plain = layer.groups == 1 and layer.padding == (0, 0) and layer.dilation == (1, 1)
    return bool(plain and layer.kernel_size == layer.stride)


def _fuse_normalising(module: nn.Module, make: MakeLayer) -> None:
    """Fold a module's pixel normalisation into the only layer that cuts patches.

    The comparison with fp32 verifies that this layer gets the pixels untouched.
    """
    normalise = getattr(module, "normalise", None)
    if not isinstance(normalise, Normalise):
        return
    cutting = [found for found in _children(module) if _cuts_patches(found[2])]
    if len(cutting) == 1 and cutting[0][2].in_channels == _COLOURS:
        parent, name, convolution = cutting[0]
        setattr(parent, name, PackedPatches(convolution, make, normalise))
        module.normalise = ColoursFirst()


def _sees(config: Any) -> bool:
    """Return whether a configuration is that of an image tower, where attention is not causal."""
    if isinstance(config, VisionEncoderDecoderConfig):  # settings in it reach the decoder too
        return False
    return "vision" in type(config).__name__.lower() or isinstance(config, ViTConfig)


def _fuse_activation(module: nn.Module, make: MakeLayer) -> None:
    """Fuse the activation between a module's two linear layers into the first of them."""
    first, second = getattr(module, "fc1", None), getattr(module, "fc2", None)
    fused = _FUSED.get(type(getattr(module, "activation_fn", None)))
    if fused is None or type(first) is not nn.Linear or type(second) is not nn.Linear:
        return
    activation, scale = fused
    module.fc1 = make(scaled(first, weight=scale, bias=scale), activation)
    module.fc2 = make(scaled(second, weight=1 / scale))
    module.activation_fn = nn.Identity()
