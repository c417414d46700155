"""Processors of models that see images and videos, on machines where videos cannot be read.

In `transformers` the video half of such a processor needs torchvision, and the image half does not.
Captioning needs the image half only.
"""

from typing import Any, Final

from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from image_toolkit.models.runtime.hub import ModelFiles

_VIDEO: Final = "video_processor"


class _NoVideo:
    """In the place of a processor of videos: all its settings are None."""

    def __getattr__(self, name: str) -> None:
        return None


def load_processor(files: ModelFiles, config: Any) -> Any:
    """Return a model's processor for images and text; `config` is the model's configuration."""
    try:
        return AutoProcessor.from_pretrained(files.folder, trust_remote_code=False)
    except ImportError as error:
        if "torchvision" not in str(error).lower():
            raise
    return _without_video(files, PROCESSOR_MAPPING[type(config)])


def _without_video(files: ModelFiles, processor_class: Any) -> Any:
    def check(self: Any, name: str, argument: Any) -> Any:
        if name == _VIDEO:
            return _NoVideo
        return processor_class.check_argument_for_proper_class(self, name, argument)

    # Its own representation would be the JSON of all its parts, which _NoVideo has none of.
    own = {"check_argument_for_proper_class": check, "__repr__": object.__repr__}
    still = type(processor_class.__name__, (processor_class,), own)
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(
            files.folder, backend="pil", trust_remote_code=False
        ),
        "tokenizer": AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False),
        _VIDEO: _NoVideo(),
    }
    settings, _ = still.get_processor_dict(files.folder)  # type: ignore[attr-defined]
    settings["chat_template"] = settings.get("chat_template") or parts["tokenizer"].chat_template
    attributes = still.get_attributes()  # type: ignore[attr-defined]
    return still.from_args_and_dict([parts[name] for name in attributes], settings)  # type: ignore[attr-defined]
