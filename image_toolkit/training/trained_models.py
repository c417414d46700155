"""Which base models each trainer can train, by the name of its export layout."""

from collections.abc import Mapping
from typing import Final

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.training.base_models import BASE_MODELS, BaseModel

_USUAL: Final = ("sd15", "sdxl", "flux")

TRAINED_MODELS: Final[Mapping[str, tuple[str, ...]]] = {
    "imagefolder": _USUAL,
    "kohya": _USUAL,
    "musubi-tuner": ("flux2",),
    "simpletuner": _USUAL,
    "ai-toolkit": _USUAL,
    "onetrainer": _USUAL,
    "everydream2": ("sd15",),
    "webdataset": tuple(BASE_MODELS),
    "parquet": tuple(BASE_MODELS),
}
"""Keys of base models; the first is the default."""


def model_to_train(
    layout: str, base_model: str | None, where: str = "export_dataset: base_model"
) -> BaseModel:
    """Return the model that a layout's trainer will fine-tune; `where` is for errors.

    Raises:
        InvalidArgumentError: the trainer cannot train it.
    """
    trained = TRAINED_MODELS[layout]
    key = base_model or trained[0]
    if key not in trained:
        msg = (
            f"{where}: the trainer of layout {layout!r} trains no {key!r}; choose "
            f"{' or '.join(map(repr, trained))}, or leave the layout out."
        )
        raise InvalidArgumentError(msg)
    return BASE_MODELS[key]
