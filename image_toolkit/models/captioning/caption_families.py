"""The intake for each architecture, and what a prompt means to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.intakes import ChatIntake, Intake, PixelIntake
from image_toolkit.models.runtime.loading import check_tokenizer, load_tokenizer
from image_toolkit.models.runtime.preparation import probe_images
from image_toolkit.models.runtime.processors import load_image_processor, load_processor

CHAT_PROMPT: Final = "Describe this image in one sentence, for a caption. Answer with the caption."
FLORENCE_TASKS: Final = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")

Tokens = Mapping[str, Sequence[int]]

_LONGEST_EDGE: Final = 1024


def intake_for(files: ModelFiles, config: Any, prompt: str | None) -> Intake:
    """Return the intake for a model; `config` is its configuration.

    Raises:
        InputDataError: the model does not caption, or lacks a file.
        InvalidArgumentError: it does not support the prompt.
    """
    make = _FAMILIES.get(files.kind, _chat)
    return make(files, config, prompt or "")


def _parts(files: ModelFiles, config: Any) -> tuple[Any, Any]:
    return load_image_processor(files), load_tokenizer(files, config)


def _blip(files: ModelFiles, config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files, config)

    def tokens(prompt: str) -> Tokens:
        return {"input_ids": tokenizer(prompt)["input_ids"]} if prompt else {}

    return PixelIntake(images, tokenizer, tokens, prompt)


def _blip_2(files: ModelFiles, config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files, config)
    if config.image_token_index is None:
        msg = (
            f"Model {files.name!r}: its config.json has no image_token_index, the token that "
            f"stands for the image; use a newer revision of the model, which has it."
        )
        raise InputDataError(msg)
    image_ids = [config.image_token_index] * config.num_query_tokens

    def tokens(prompt: str) -> Tokens:
        ids = [*image_ids, *tokenizer(prompt)["input_ids"]]
        return {"input_ids": ids, "attention_mask": [1] * len(ids)}

    repeats = bool(config.use_decoder_only_language_model)
    return PixelIntake(images, tokenizer, tokens, prompt, repeats=repeats)


def _git(files: ModelFiles, config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files, config)

    def tokens(prompt: str) -> Tokens:
        own = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return {"input_ids": [tokenizer.cls_token_id, *own]}

    return PixelIntake(images, tokenizer, tokens, prompt)


def _encoder_decoder(files: ModelFiles, config: Any, prompt: str) -> Intake:
    images, tokenizer = _parts(files, config)

    def tokens(prompt: str) -> Tokens:
        own = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return {"decoder_input_ids": [config.decoder_start_token_id, *own]} if prompt else {}

    return PixelIntake(images, tokenizer, tokens, prompt)


def _florence(files: ModelFiles, config: Any, prompt: str) -> Intake:
    processor = load_processor(files, config)
    check_tokenizer(files, processor.tokenizer, config)

    def tokens(prompt: str) -> Tokens:
        if prompt not in FLORENCE_TASKS:
            msg = f"prompt: Florence-2 captions by task, one of {', '.join(FLORENCE_TASKS)}."
            raise InvalidArgumentError(msg)
        made = processor(images=probe_images(1)[0], text=prompt)
        ids = torch.as_tensor(made["input_ids"]).reshape(-1).tolist()
        return {"input_ids": ids, "attention_mask": [1] * len(ids)}

    own = prompt or FLORENCE_TASKS[0]
    return PixelIntake(processor.image_processor, processor.tokenizer, tokens, own)


def _chat(files: ModelFiles, config: Any, prompt: str) -> Intake:
    processor = load_processor(files, config)
    if getattr(processor, "chat_template", None) is None:
        known = ", ".join(sorted(_FAMILIES))
        msg = (
            f"Model {files.name!r} ({files.kind}) is none that captions here: it is not one of "
            f"{known}, and has no chat template."
        )
        raise InputDataError(msg)
    check_tokenizer(files, processor.tokenizer, config)
    return ChatIntake(processor, prompt or CHAT_PROMPT, _LONGEST_EDGE)


_FAMILIES: Final[dict[str, Callable[[ModelFiles, Any, str], Intake]]] = {
    "blip": _blip,
    "blip-2": _blip_2,
    "florence2": _florence,
    "git": _git,
    "vision-encoder-decoder": _encoder_decoder,
}
