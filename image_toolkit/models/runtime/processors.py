"""Processors, which come with a model and make its inputs from images and texts.

In `transformers`, the part of a processor for videos needs torchvision; the part for images does
not, and captioning needs only that one.
"""

import importlib
from typing import Any, Final

import transformers

from image_toolkit.models.runtime.checked_versions import private_parts_usable
from image_toolkit.models.runtime.hub import ModelFiles

_VIDEO: Final = "video_processor"


class _NoVideo:
    """A stand-in for a video processor, with None for all settings."""

    def __getattr__(self, name: str) -> None:
        return None


def load_image_processor(files: ModelFiles) -> Any:
    """Return a model's own image processor, which does not need torchvision."""
    return transformers.AutoImageProcessor.from_pretrained(
        files.folder, backend="pil", trust_remote_code=False
    )


def load_processor(files: ModelFiles, config: Any) -> Any:
    """Return a model's processor for images and text; `config` is the model's configuration."""
    try:
        return transformers.AutoProcessor.from_pretrained(files.folder, trust_remote_code=False)
    except ImportError as error:
        if "torchvision" not in str(error).lower() or not private_parts_usable():
            raise
        wanted = error
    try:
        return _without_video(files, config)
    except (ImportError, AttributeError, TypeError, KeyError) as error:
        wanted.add_note(f"Without it: {type(error).__name__}: {error}")
        raise wanted from error


def _without_video(files: ModelFiles, config: Any) -> Any:
    auto = importlib.import_module("transformers.models.auto.processing_auto")
    processor_class = auto.PROCESSOR_MAPPING[type(config)]

    def check(self: Any, name: str, argument: Any) -> Any:
        if name == _VIDEO:
            return _NoVideo
        return processor_class.check_argument_for_proper_class(self, name, argument)

    # Its own repr would be the JSON of all its parts, and _NoVideo has none.
    own = {"check_argument_for_proper_class": check, "__repr__": object.__repr__}
    still: Any = type(processor_class.__name__, (processor_class,), own)
    tokenizer = transformers.AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False)
    parts = {
        "image_processor": load_image_processor(files),
        "tokenizer": tokenizer,
        _VIDEO: _NoVideo(),
    }
    settings, _ = still.get_processor_dict(files.folder)
    settings["chat_template"] = settings.get("chat_template") or tokenizer.chat_template
    return still.from_args_and_dict([parts[name] for name in still.get_attributes()], settings)
