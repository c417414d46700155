"""Load a text-to-image pipeline from its files: no weights made up, no code run.

The "safety checker" of some models is never loaded: an image that it blackens would be mistaken for
the model's output.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final

import torch
from torch import nn

from fondant_spec.errors import InputDataError
from image_toolkit.diffusion.pipeline_files import LEFT_OUT, parts_of, read_index
from image_toolkit.models.runtime.device import EXACT, Placement, place
from image_toolkit.models.runtime.fitting import placing
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.loading import check_tokenizer, check_whole, loading

_GUIDED_BY_IMAGES: Final = ("controlnet", "-control", "kontext", "inpaint")
"""Parts of the names of pipelines that need more than a text."""

_SWITCHED_OFF: Final = {"requires_safety_checker": False, "add_watermarker": False}
"""Arguments of some pipelines: do not warn about the missing safety checker, and do not add SDXL's
invisible watermark, which would depend on what is installed."""


def load_pipeline(files: ModelFiles, dtype: torch.dtype = torch.float32) -> Any:
    """Return a text-to-image pipeline of diffusers, on the CPU, with all weights as stored.

    It is assembled here rather than by diffusers' own loader, since some of its releases run Python
    files in a model's folder.

    Args:
        files: of the pipeline; see `find_pipeline`.
        dtype: the type to convert weights to.

    Raises:
        InputDataError: it does not generate images from text, cannot be loaded, or lacks weights:
            diffusers would initialise them at random.
    """
    with loading(files.name):
        import diffusers  # noqa: PLC0415 - torch must be set up first

        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        index = read_index(files.folder)
        pipeline_class = _pipeline_class(files.name, index)
        takes = signature(pipeline_class.__init__).parameters
        given = {name: value for name, value in index.items() if not isinstance(value, list)}
        given |= dict.fromkeys((*pipeline_class._optional_components, *LEFT_OUT))  # noqa: SLF001
        given |= _SWITCHED_OFF
        given |= {
            name: _load_part(files, name, class_, dtype)
            for name, class_ in _classes(files.name, index).items()
        }
        pipeline = pipeline_class(**{name: given[name] for name in takes if name in given})
        _check_tokenizers(files, pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def place_pipeline(name: str, pipeline: Any, placement: Placement) -> None:
    """Move a pipeline to a device.

    Raises:
        DoesNotFitError: it is too large.
    """
    models = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    with placing(name, nn.ModuleList(models), placement):
        pipeline.to(placement.device)


def placement_on(device: torch.device, precision: str = "auto") -> Placement:
    """Return the placement of a diffusion model on a device.

    `auto` is bf16 on a GPU, or fp16 on one without it, and fp32 on a CPU. Not bf16 on a CPU, even
    if it is faster: its small errors add up over the steps.

    Raises:
        InvalidArgumentError: the precision is slow on the device, or not supported.
    """
    return place(device, EXACT if precision == "auto" and device.type == "cpu" else precision)


def _pipeline_class(name: str, index: dict[str, Any]) -> Any:
    """Return the class of a pipeline.

    Raises:
        InputDataError: it does not generate images from text alone.
    """
    from diffusers.pipelines import auto_pipeline  # noqa: PLC0415 - torch has to be prepared first

    kinds = auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING
    known = {
        class_.__name__: class_
        for kind, class_ in kinds.items()
        if not any(word in kind for word in _GUIDED_BY_IMAGES)
    }
    asked = index.get("_class_name")
    if not isinstance(asked, str) or asked not in known:
        what = asked if isinstance(asked, str) else "pipeline with code of its own"
        msg = (
            f"Model {name!r} is a {what}, which makes no images of texts alone, or is none that "
            "diffusers has: choose a text-to-image model, such as Stable Diffusion."
        )
        raise InputDataError(msg)
    return known[asked]


def _classes(name: str, index: dict[str, Any]) -> dict[str, type]:
    """Return the classes of a pipeline's parts.

    Raises:
        InputDataError: one is from an unknown library, whose code would be run.
    """
    import diffusers  # noqa: PLC0415 - torch has to be prepared first
    import transformers  # noqa: PLC0415

    known = {"diffusers": diffusers, "transformers": transformers}
    classes = {}
    for part, (library, class_name) in parts_of(index).items():
        home = known.get(library) or getattr(diffusers.pipelines, library, None)
        class_ = getattr(home, class_name, None)
        if not isinstance(class_, type):
            msg = (
                f"Model {name!r}: its part {part!r} is a {class_name} of {library}, which neither "
                "diffusers nor transformers has here. Code from a repository is not run: choose "
                "another model, or a newer release of both."
            )
            raise InputDataError(msg)
        classes[part] = class_
    return classes


def _load_part(files: ModelFiles, part: str, class_: Any, dtype: torch.dtype) -> Any:
    """Return a part of a pipeline, as it is stored.

    Raises:
        InputDataError: it lacks weights.
    """
    folder = str(files.folder / part)
    options: dict[str, Any] = {"local_files_only": True}
    is_diffusers = class_.__module__.startswith("diffusers.")
    if not is_diffusers:
        options["trust_remote_code"] = False
    if not issubclass(class_, nn.Module):
        return class_.from_pretrained(folder, **options)
    options["torch_dtype" if is_diffusers else "dtype"] = dtype
    model, report = class_.from_pretrained(
        folder, use_safetensors=True, output_loading_info=True, **options
    )
    check_whole(files.name, part, model, report)
    return model.eval()


def _check_tokenizers(files: ModelFiles, parts: Mapping[str, Any]) -> None:
    """Refuse a tokenizer that belongs to another encoder."""
    for name, part in parts.items():
        encoder = parts.get(name.replace("tokenizer", "text_encoder"))
        if name.startswith("tokenizer") and part is not None and encoder is not None:
            check_tokenizer(files, part, encoder.config)
