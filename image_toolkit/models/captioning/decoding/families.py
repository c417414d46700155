"""The parts of captioners that a decoder of our own calls, family by family.

It leans on private parts of transformers: see `caption_decoder.decoder_for`, the way in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

Inputs = Mapping[str, torch.Tensor]
Project = Callable[[torch.Tensor], torch.Tensor]
"""Takes and returns values of shape (rows, tokens, width)."""


@dataclass(frozen=True)
class Attention:
    """What an attention is made of.

    `finish` takes what was attended to and what came in, and returns what goes on, all of shape
    (rows, tokens, width).
    """

    query: Project
    key: Project
    value: Project
    finish: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Layer:
    """What a layer is made of: attention to the words, to the image, and two wide products."""

    words: Attention
    image: Attention
    widen: Project


@dataclass(frozen=True)
class TextDecoder:
    """What makes words of an image.

    `embed` takes tokens (rows, tokens) and their places (tokens,); `logits` the last values of each
    row (rows, width), and returns (rows, vocabulary).
    """

    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    layers: Sequence[Layer]
    logits: Project
    heads: int
    head_width: int
    vocabulary: int
    longest: int


@dataclass(frozen=True)
class SpecialTokens:
    """Tokens that end a caption, fill up behind it, and have to come first and last in it."""

    ends: tuple[int, ...]
    padding: int
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


@dataclass(frozen=True)
class Family:
    """A captioner as its decoder sees it.

    `see` returns what an image tower makes of the inputs of `generate`, (images, tokens, width);
    `begin` the tokens that a caption begins with, the same for all images of a batch.
    """

    text: TextDecoder
    tokens: SpecialTokens
    see: Callable[[Inputs], torch.Tensor]
    begin: Callable[[Inputs], list[int]]


def family_of(model: Any) -> Family | None:
    """Return the parts of a captioner; None for a family that is not known here."""
    make = _FAMILIES.get(model.config.model_type)
    return None if make is None else make(model)


def _blip(model: Any) -> Family:
    text, config = model.text_decoder, model.config.text_config

    def attention(module: Any) -> Attention:
        own = module.self
        return Attention(own.query, own.key, own.value, module.output)

    def begin(inputs: Inputs) -> list[int]:
        prompt = inputs["input_ids"][0, 1:-1].tolist() if "input_ids" in inputs else []
        return [config.bos_token_id, *prompt]

    def embed(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = text.bert.embeddings(input_ids=tokens, position_ids=places[None])
        return made

    return Family(
        TextDecoder(
            embed,
            [
                Layer(
                    attention(layer.attention),
                    attention(layer.crossattention),
                    layer.feed_forward_chunk,
                )
                for layer in text.bert.encoder.layer
            ],
            text.cls,
            config.num_attention_heads,
            config.hidden_size // config.num_attention_heads,
            config.vocab_size,
            config.max_position_embeddings,
        ),
        _special_tokens(text.generation_config, config.sep_token_id, config.pad_token_id),
        lambda inputs: model.vision_model(pixel_values=inputs["pixel_values"])[0],
        begin,
    )


def _florence(model: Any) -> Family:
    config, own = model.config.text_config, model.generation_config
    whole, text = model.model, model.model.language_model
    decoder = text.decoder
    positions = decoder.embed_positions

    def attention(module: Any, norm: Project) -> Attention:
        def finish(attended: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            return norm(values + module.out_proj(attended))

        return Attention(module.q_proj, module.k_proj, module.v_proj, finish)

    def widening(layer: Any) -> Project:
        def widen(values: torch.Tensor) -> torch.Tensor:
            wide = layer.activation_fn(layer.fc1(values))
            made: torch.Tensor = layer.final_layer_norm(values + layer.fc2(wide))
            return made

        return widen

    def embed(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        where = positions.weight.index_select(0, places + positions.offset)
        made: torch.Tensor = decoder.layernorm_embedding(decoder.embed_tokens(tokens) + where)
        return made

    def see(inputs: Inputs) -> torch.Tensor:
        words = model.get_input_embeddings()(inputs["input_ids"])
        images = whole.get_image_features(pixel_values=inputs["pixel_values"]).pooler_output
        places = (inputs["input_ids"] == model.config.image_token_id)[..., None]
        both = words.masked_scatter(places, images.to(words.dtype))
        made: torch.Tensor = text.encoder(inputs_embeds=both)[0]
        return made

    start = own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
    return Family(
        TextDecoder(
            embed,
            [
                Layer(
                    attention(layer.self_attn, layer.self_attn_layer_norm),
                    attention(layer.encoder_attn, layer.encoder_attn_layer_norm),
                    widening(layer),
                )
                for layer in decoder.layers
            ],
            model.lm_head,
            config.decoder_attention_heads,
            config.d_model // config.decoder_attention_heads,
            config.vocab_size,
            config.max_position_embeddings,
        ),
        _special_tokens(own, own.eos_token_id, own.pad_token_id),
        see,
        lambda _inputs: [start],
    )


def _special_tokens(own: Any, ends: int | Sequence[int], padding: int | None) -> SpecialTokens:
    """Return the tokens that `generate` takes by a configuration, and by its arguments."""
    all_ends = _all(ends)
    return SpecialTokens(
        all_ends,
        all_ends[0] if padding is None else padding,
        _all(own.forced_bos_token_id),
        _all(own.forced_eos_token_id),
    )


def _all(tokens: int | Sequence[int] | None) -> tuple[int, ...]:
    if tokens is None:
        return ()
    return (tokens,) if isinstance(tokens, int) else tuple(tokens)


_FAMILIES: Final[dict[str, Callable[[Any], Family]]] = {"blip": _blip, "florence2": _florence}
