"""Training settings: the arguments in groups, named as in diffusers' scripts."""

from dataclasses import dataclass
from typing import Final

from fondant_spec.errors import InvalidArgumentError

LORA: Final = "lora"
FULL: Final = "full"


@dataclass(frozen=True)
class RunSettings:
    """What to train, with which batch size, and for how long."""

    method: str = LORA
    rank: int = 4
    train_batch_size: int = 16
    gradient_accumulation_steps: int = 1
    num_train_epochs: int = 100
    max_train_steps: int | None = None
    checkpointing_steps: int = 500
    validation_steps: int | None = None
    gradient_checkpointing: bool = False
    use_ema: bool = False
    seed: int = 0
    num_processes: int = 1


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimiser settings: AdamW, and the learning rate schedule."""

    learning_rate: float = 1e-4
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 500
    max_grad_norm: float = 1.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_weight_decay: float = 1e-2
    adam_epsilon: float = 1e-8


@dataclass(frozen=True)
class ExampleSettings:
    """What is done to an image and its caption at each use."""

    noise_offset: float = 0.0
    caption_dropout: float = 0.0


@dataclass(frozen=True)
class ImageSettings:
    """How images are scaled and cropped.

    Without `buckets`, the shorter side is scaled to `resolution`, which defaults to the model's
    own, and a square of that side is cropped from the middle (`center_crop`), or at random: each
    time anew, or at one of `cached_crops` positions. With them, an image is scaled until it fills
    the bucket with the nearest aspect ratio, and the excess is cropped on both sides equally.
    """

    resolution: int | None = None
    center_crop: bool = False
    random_flip: bool = False
    buckets: bool = False
    cached_crops: int | None = None

    def __post_init__(self) -> None:
        """Reject contradictory settings.

        Raises:
            InvalidArgumentError: crops are to be random, and from the middle.
        """
        if self.cached_crops and (self.center_crop or self.buckets):
            other = "center_crop" if self.center_crop else "buckets"
            msg = (
                f"fine_tune: with {other}, images are cut in the middle, so there is nothing for "
                "'cached_crops' to say: leave out one of both."
            )
            raise InvalidArgumentError(msg)
