"""Caption settings as given by the user, and well-known presets that complete them."""

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from image_toolkit.models.captioning.generation import Generation

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    # The defaults of EveryDream's captioning script: its `q_factor` is the repetition penalty.
    "everydream": {
        "num_beams": 16,
        "min_new_tokens": 22,
        "max_new_tokens": 48,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
    },
    # That script as used in a well-known report on fine-tuning with Unsplash photographs: q_factor
    # 1.4, and `min_words` 30, which counted tokens. The n-gram rule is ours: without it, these
    # settings are known to give "a body of water in the middle of a body of water".
    "unsplash_report": {
        "num_beams": 16,
        "min_new_tokens": 30,
        "max_new_tokens": 48,
        "repetition_penalty": 1.4,
        "no_repeat_ngram_size": 3,
        "suffix": ", unsplash photography",
    },
}


@dataclass(frozen=True)
class Decoding:
    """How the text of a caption is searched for. Lengths are in tokens.

    None leaves a setting to the preset, or else to the defaults of `Generation`.
    """

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    num_beams: int | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    retry_poor: bool = True


@dataclass(frozen=True)
class Sampling:
    """How tokens are sampled instead, and how many candidates to choose from."""

    sample: bool = False
    temperature: float = 1.0
    top_p: float = 0.9
    candidates: int = 1
    seed: int = 0


def with_preset(name: str, settings: Settings) -> Settings:
    """Return settings with each None replaced by the preset's value, if it has one."""
    preset = PRESETS[name]
    own = {field.name for field in fields(settings) if getattr(settings, field.name) is None}
    return replace(settings, **{key: value for key, value in preset.items() if key in own})


def make_generation(decoding: Decoding, sampling: Sampling) -> Generation:
    """Return the generation settings.

    Raises:
        InvalidArgumentError: the settings contradict each other.
    """
    settings = {**asdict(decoding), **asdict(sampling)}
    return Generation(**{name: value for name, value in settings.items() if value is not None})
