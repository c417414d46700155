"""Encoded captions for the UNet: each is encoded once, and cached on disk."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch
from base_model import BaseModel, without
from tensor_store import TensorStore

_AT_ONCE: Final = 16
EMPTY: Final = ""
TEXT: Final = "text"
POOLED: Final = "pooled"

Conditions = dict[str, torch.Tensor]
"""`text`, of shape (tokens, dimension), and for a model with two encoders `pooled`, (dimension)."""


class TextVectors:
    """The vectors of captions, by caption.

    They are encoded in fp32, and cached in the precision that the UNet is trained in. With 77
    tokens of 768 numbers, a caption takes 237 kB of disk in fp32.
    """

    def __init__(
        self, store: TensorStore, base: BaseModel, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._store = store
        self._base = base
        self._device = device
        self._dtype = dtype

    def add(self, captions: Iterable[str]) -> int:
        """Encode those captions that are not cached yet; return how many of all are truncated.

        The encoders take 77 tokens; anything beyond is cut off.
        """
        given = list(captions)
        missing = [caption for caption in dict.fromkeys(given) if caption not in self._store]
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            for caption, conditions in zip(some, self._encoded(some), strict=True):
                self._store.put(caption, conditions)
        tokenizer = self._base.pipeline.tokenizer
        tokens = tokenizer(given).input_ids if given else []
        return sum(len(some) > tokenizer.model_max_length for some in tokens)

    def of(self, caption: str) -> Conditions:
        """Return the vectors of a caption that was added."""
        return self._store.get(caption)

    def close(self) -> None:
        """Release the encoders; the cached vectors stay."""
        without(self._base.pipeline, ("text_encoder", *(("text_encoder_2",) * self._base.is_xl)))

    def _encoded(self, captions: Sequence[str]) -> list[Conditions]:
        pipeline = self._base.pipeline
        states, pooled = _states(
            pipeline.tokenizer,
            pipeline.text_encoder.to(self._device),
            captions,
            inner=self._base.is_xl,
        )
        if not self._base.is_xl:
            return [{TEXT: text} for text in states.to(self._dtype)]
        second, pooled = _states(
            pipeline.tokenizer_2, pipeline.text_encoder_2.to(self._device), captions, inner=True
        )
        texts = torch.cat([states, second], dim=-1).to(self._dtype)
        made = zip(captions, texts, pooled.to(self._dtype), strict=True)
        return [self._as_inferred(caption, {TEXT: t, POOLED: p}) for caption, t, p in made]

    def _as_inferred(self, caption: str, conditions: Conditions) -> Conditions:
        """Return the pipeline's input for a caption: zeros for an empty one, if so configured."""
        zeros = caption == EMPTY and self._base.pipeline.config.force_zeros_for_empty_prompt
        return {k: torch.zeros_like(v) if zeros else v for k, v in conditions.items()}


def _states(
    tokenizer: Any, encoder: Any, captions: Sequence[str], *, inner: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vectors of all tokens, (captions, tokens, dimension), and the first output.

    `inner`: of the last layer but one, as used by Stable Diffusion XL.
    """
    tokens = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        made = encoder(tokens.input_ids.to(encoder.device), output_hidden_states=inner)
    return (made.hidden_states[-2] if inner else made[0]), made[0]
