"""The parts of BLIP that its decoder uses."""

from typing import Any

import torch

from image_toolkit.models.captioning.decoding.family import (
    Attention,
    Family,
    Inputs,
    Layer,
    TextDecoder,
    special_tokens,
)


def blip(model: Any) -> Family:
    """Return the parts of a BLIP model."""
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
        special_tokens(text.generation_config, config.sep_token_id, config.pad_token_id),
        lambda inputs: model.vision_model(pixel_values=inputs["pixel_values"])[0],
        begin,
    )
