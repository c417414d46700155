"""The parts of Florence-2 that its decoder uses."""

from typing import Any

import torch

from image_toolkit.models.captioning.decoding.family import (
    Attention,
    Family,
    Inputs,
    Layer,
    Project,
    TextDecoder,
    special_tokens,
)


def florence(model: Any) -> Family:
    """Return the parts of a Florence-2 model."""
    own = model.generation_config
    start = own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
    return Family(
        _text_decoder(model),
        special_tokens(own, own.eos_token_id, own.pad_token_id),
        lambda inputs: _seen(model, inputs),
        lambda _inputs: [start],
    )


def _text_decoder(model: Any) -> TextDecoder:
    config = model.config.text_config
    decoder = model.model.language_model.decoder
    positions = decoder.embed_positions

    def embed(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        where = positions.weight.index_select(0, places + positions.offset)
        made: torch.Tensor = decoder.layernorm_embedding(decoder.embed_tokens(tokens) + where)
        return made

    return TextDecoder(
        embed,
        [_layer(layer) for layer in decoder.layers],
        model.lm_head,
        config.decoder_attention_heads,
        config.d_model // config.decoder_attention_heads,
        config.vocab_size,
        config.max_position_embeddings,
    )


def _layer(layer: Any) -> Layer:
    def widen(values: torch.Tensor) -> torch.Tensor:
        wide = layer.activation_fn(layer.fc1(values))
        made: torch.Tensor = layer.final_layer_norm(values + layer.fc2(wide))
        return made

    return Layer(
        _attention(layer.self_attn, layer.self_attn_layer_norm),
        _attention(layer.encoder_attn, layer.encoder_attn_layer_norm),
        widen,
    )


def _attention(module: Any, norm: Project) -> Attention:
    def finish(attended: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return norm(values + module.out_proj(attended))

    return Attention(module.q_proj, module.k_proj, module.v_proj, finish)


def _seen(model: Any, inputs: Inputs) -> torch.Tensor:
    """Return the encoder's output for the task prompt with the image in it."""
    words = model.get_input_embeddings()(inputs["input_ids"])
    images = model.model.get_image_features(pixel_values=inputs["pixel_values"]).pooler_output
    places = (inputs["input_ids"] == model.config.image_token_id)[..., None]
    both = words.masked_scatter(places, images.to(words.dtype))
    made: torch.Tensor = model.model.language_model.encoder(inputs_embeds=both)[0]
    return made
