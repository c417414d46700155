"""From the files of a text-to-image pipeline to the pipeline: nothing of it made up, no code run.

The filter that some models come with, their "safety checker", is never loaded: a picture that it
blackens would be taken for what the model draws.
"""

from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from fondant_spec.errors import InputDataError
from image_toolkit.diffusion.pipeline_files import LEFT_OUT, parts_of, read_index
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.fitting import placing
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.loading import check_whole, loading
from image_toolkit.models.runtime.torch_setup import prepare_torch

_GUIDED_BY_IMAGES: Final = ("controlnet", "-control", "kontext", "inpaint")
"""What the names of kinds have in them that want more than a text."""


def load_pipeline(files: ModelFiles, dtype: torch.dtype = torch.float32) -> Any:
    """Return a text-to-image pipeline of diffusers, on the CPU, with all weights as stored.

    Args:
        files: of the pipeline; see `find_pipeline`.
        dtype: that the weights are brought to.

    Raises:
        InputDataError: it makes no images of texts, cannot be loaded, or lacks weights: diffusers
            would make them up at random.
    """
    prepare_torch()
    import diffusers  # noqa: PLC0415 - torch has to be prepared first

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    index = read_index(files.folder)
    pipeline_class = _pipeline_class(files.name, index)
    with loading(files.name):
        given = {
            name: _load_model(files, name, class_, dtype)
            for name, class_ in _classes(files.name, index).items()
            if issubclass(class_, nn.Module)
        }
        left_out = {name: None for name in LEFT_OUT if name in index}
        unfiltered = {"requires_safety_checker": False} if "safety_checker" in index else {}
        pipeline = pipeline_class.from_pretrained(
            str(files.folder), **given, **left_out, **unfiltered, local_files_only=True
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def place_pipeline(name: str, pipeline: Any, placement: Placement) -> None:
    """Bring a pipeline to a device.

    Raises:
        DoesNotFitError: it is too large for that.
    """
    models = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    with placing(name, nn.ModuleList(models), placement):
        pipeline.to(placement.device)


def precision_on(device: torch.device) -> str:
    """Return how precisely diffusion models run on a device: fp32 on a CPU, bf16 or fp16 on a GPU.

    Not bf16 on a CPU even where that is faster: small errors add up over the steps.
    """
    if device.type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _pipeline_class(name: str, index: dict[str, Any]) -> Any:
    """Return the class of a pipeline.

    Raises:
        InputDataError: it makes no images of texts alone.
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
        InputDataError: one is of a library that is not known: what it names would be run.
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


def _load_model(files: ModelFiles, part: str, class_: Any, dtype: torch.dtype) -> Any:
    """Return a model of a pipeline, as it is stored.

    Raises:
        InputDataError: weights of it are missing.
    """
    model, report = class_.from_pretrained(
        str(Path(files.folder) / part),
        use_safetensors=True,
        local_files_only=True,
        torch_dtype=dtype,
        output_loading_info=True,
    )
    check_whole(files.name, part, model, report)
    return model.eval()
