"""Models that describe images: what each architecture takes, and what it returns.

Most take the pixels and the same few text tokens for every image (`PixelCaptioner`). Chat-style
models put the image into a conversation and take both through their own processor
(`ChatCaptioner`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
)

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.toolkit.models.device import Placement
from fondant_spec.toolkit.models.engines import to_device
from fondant_spec.toolkit.models.fast_cpu import speed_up
from fondant_spec.toolkit.models.feed import UnusableError
from fondant_spec.toolkit.models.generation import Generation
from fondant_spec.toolkit.models.hub import ModelFiles, loading
from fondant_spec.toolkit.models.image_keys import ImageKeys
from fondant_spec.toolkit.models.preparation import (
    Normalise,
    PixelPreparation,
    ProcessorPreparation,
    preparation_for,
    probe_images,
)
from fondant_spec.toolkit.models.still_images import load_processor

Inputs = Mapping[str, torch.Tensor]

CHAT_PROMPT: Final = "Describe this image in one sentence, for a caption. Answer with the caption."
FLORENCE_TASKS: Final = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")

_LONGEST_EDGE: Final = 1024
_TOKEN_SETTINGS: Final = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)


class Captioner(Protocol):
    """Describes prepared images."""

    name: str
    revision: str
    precision: str

    @property
    def prepare(self) -> Callable[[bytes], Any]:
        """Makes one prepared item of an image's bytes; called in many threads at once."""

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each item; `rows` are the ids that sampling is seeded by."""


class Intake(Protocol):
    """What a family of models takes and returns, around the model itself."""

    @property
    def prepare(self) -> Callable[[bytes], Any]:
        """Makes one prepared item of an image's bytes."""

    def collate(self, items: Sequence[Any]) -> Inputs:
        """Return the input of `generate` for some prepared images, on the CPU."""

    def texts(self, tokens: torch.Tensor, inputs: Inputs) -> list[str]:
        """Return the captions in the tokens that `generate` returned for `inputs`."""

    def probes(self) -> Sequence[Any]:
        """Return a few prepared items, the same each time."""


class LocalCaptioner:
    """A `transformers` model on one device."""

    def __init__(self, files: ModelFiles, placement: Placement, prompt: str | None) -> None:
        self.name, self.revision = files.name, files.revision
        self.placement = placement
        self.precision = placement.precision
        with loading(files.name):
            model = AutoModelForImageTextToText.from_pretrained(
                files.folder,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=placement.dtype,
            )
            self._intake = _intake(files, model.config, prompt)
        # Only the arguments decide how captions are made, not a file beside the model.
        own = model.generation_config
        model.generation_config = GenerationConfig(
            **{name: getattr(own, name) for name in _TOKEN_SETTINGS}
        )
        # On a GPU no type is changed: some models keep a few layers in fp32.
        fast = model.to(placement.device) if placement.is_cuda else speed_up(model, placement)
        self._model = fast.eval()
        self._keys = ImageKeys(model, placement)
        self.prepare = self._intake.prepare
        self.probes = self._intake.probes

    def __str__(self) -> str:
        """Return how the captioner is run, as it is logged."""
        return str(self.placement)

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
    ) -> list[list[str]]:
        """Return the candidates for each image."""
        inputs = self._inputs(items)
        with torch.inference_mode(), self._keys.of(len(items)):
            tokens = self._model.generate(**inputs, **generation.arguments(rows))
        texts = self._intake.texts(tokens, inputs)
        count = generation.candidates
        return [texts[start : start + count] for start in range(0, len(texts), count)]

    def first_logits(self, items: Sequence[Any]) -> torch.Tensor:
        """Return the logits of the first new token of each image, float32: to compare with."""
        with torch.inference_mode(), self._keys.of(len(items)):
            made = self._model.generate(
                **self._inputs(items),
                max_new_tokens=1,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        return made.logits[0].float().cpu()

    def _inputs(self, items: Sequence[Any]) -> Inputs:
        inputs = to_device(self._intake.collate(items), self.placement)
        return {
            name: value.to(self.placement.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()
        }


class PixelIntake:
    """Pixels, and the same text tokens for every image: BLIP, BLIP-2, GIT, ViT-GPT2, Florence-2."""

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        prompt: Mapping[str, Sequence[int]],
        *,
        skips: int = 0,
    ) -> None:
        """`prompt` are the tokens that every image gets; the first `skips` of a result are cut."""
        self._processor = image_processor
        self._tokenizer = tokenizer
        self._prompt = {name: torch.tensor([value]) for name, value in prompt.items()}
        self._skips = skips
        preparation = preparation_for(image_processor)
        self._normalise = None if preparation is None else Normalise(preparation)
        self.prepare: Callable[[bytes], Any] = preparation or ProcessorPreparation()

    def collate(self, items: Sequence[Any]) -> Inputs:
        """Return `pixel_values` and the prompt's tokens, one row an image."""
        if self._normalise is None:
            pixels = self._processor(images=list(items), return_tensors="pt")["pixel_values"]
        else:
            pixels = self._normalise(torch.from_numpy(np.stack(items)))
        prompt = {name: value.repeat(len(items), 1) for name, value in self._prompt.items()}
        return {"pixel_values": pixels, **prompt}

    def texts(self, tokens: torch.Tensor, inputs: Inputs) -> list[str]:  # noqa: ARG002 - see Intake
        """Return the captions; a prompt that leads in a caption is part of it."""
        texts: list[str] = self._tokenizer.batch_decode(
            tokens[:, self._skips :], skip_special_tokens=True
        )
        return texts

    def probes(self) -> Sequence[Any]:
        """Return a few prepared images."""
        if isinstance(self.prepare, PixelPreparation):
            return [self.prepare.pixels(image) for image in probe_images()]
        return probe_images()


class ChatIntake:
    """A conversation of one question with one image: Qwen2.5-VL, SmolVLM, LLaVA and their like."""

    def __init__(self, processor: Any, prompt: str, longest_edge: int) -> None:
        self._processor = processor
        self._processor.tokenizer.padding_side = "left"
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        self._text: str = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        self.prepare: Callable[[bytes], Any] = ProcessorPreparation(longest_edge)

    def collate(self, items: Sequence[Any]) -> Inputs:
        """Return what the model's own processor makes of the images and the conversation."""
        made = self._processor(
            text=[self._text] * len(items),
            images=[[image] for image in items],
            padding=True,
            return_tensors="pt",
        )
        return dict(made)

    def texts(self, tokens: torch.Tensor, inputs: Inputs) -> list[str]:
        """Return the answers, without the conversation that led to them."""
        texts: list[str] = self._processor.batch_decode(
            tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return texts

    def probes(self) -> Sequence[Any]:
        """Return a few images."""
        return probe_images()


def _intake(files: ModelFiles, config: Any, prompt: str | None) -> Intake:
    make = _FAMILIES.get(files.kind, _chat)
    return make(files, config, prompt or "")


def _parts(files: ModelFiles) -> tuple[Any, Any]:
    image_processor = AutoImageProcessor.from_pretrained(
        files.folder, backend="pil", trust_remote_code=False
    )
    return image_processor, AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False)


def _blip(files: ModelFiles, _config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files)
    ids = tokenizer(prompt)["input_ids"]
    return PixelIntake(images, tokenizer, {"input_ids": ids} if prompt else {})


def _blip_2(files: ModelFiles, config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files)
    image_ids = [config.image_token_index] * config.num_query_tokens
    ids = [*image_ids, *tokenizer(prompt)["input_ids"]]
    skips = len(ids) if config.use_decoder_only_language_model else 0
    return PixelIntake(
        images, tokenizer, {"input_ids": ids, "attention_mask": [1] * len(ids)}, skips=skips
    )


def _git(files: ModelFiles, _config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files)
    ids = [tokenizer.cls_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    return PixelIntake(images, tokenizer, {"input_ids": ids})


def _encoder_decoder(files: ModelFiles, config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files)
    own = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = [config.decoder_start_token_id, *own]
    return PixelIntake(images, tokenizer, {"decoder_input_ids": ids} if prompt else {})


def _florence(files: ModelFiles, config: Any, prompt: str) -> Intake:
    task = prompt or FLORENCE_TASKS[0]
    if task not in FLORENCE_TASKS:
        msg = f"prompt: Florence-2 captions by task, one of {', '.join(FLORENCE_TASKS)}."
        raise InvalidArgumentError(msg)
    processor = load_processor(files, config)
    made = processor(images=probe_images(1)[0], text=task)
    ids = torch.as_tensor(made["input_ids"]).reshape(-1).tolist()
    prompt_tokens = {"input_ids": ids, "attention_mask": [1] * len(ids)}
    return PixelIntake(processor.image_processor, processor.tokenizer, prompt_tokens)


def _chat(files: ModelFiles, config: Any, prompt: str) -> Intake:
    processor = load_processor(files, config)
    if getattr(processor, "chat_template", None) is None:
        known = ", ".join(sorted(_FAMILIES))
        msg = (
            f"Model {files.name!r} ({files.kind}) is none that captions here: it is not one of "
            f"{known}, and has no chat template."
        )
        raise InputDataError(msg)
    return ChatIntake(processor, prompt or CHAT_PROMPT, _LONGEST_EDGE)


_FAMILIES: Final[dict[str, Callable[[ModelFiles, Any, str], Intake]]] = {
    "blip": _blip,
    "blip-2": _blip_2,
    "florence2": _florence,
    "git": _git,
    "vision-encoder-decoder": _encoder_decoder,
}
