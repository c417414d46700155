"""Generation settings: the arguments, and checks that a model supports them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from inspect import signature
from typing import Any, Final, NamedTuple

from fondant_spec.errors import InvalidArgumentError

SCHEDULERS: Final = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""The diffusers class of each available scheduler."""

DEFAULT_GUIDANCE: Final = 7.5
DEFAULT_STEPS: Final = 50


class Pair(NamedTuple):
    """The settings of one cell of the grid."""

    steps: int
    guidance: float


@dataclass(frozen=True)
class DrawingSettings:
    """The generation settings of images. Sizes are in pixels."""

    guidance_scale: Sequence[float] = (DEFAULT_GUIDANCE,)
    num_inference_steps: Sequence[int] = (DEFAULT_STEPS,)
    height: int | None = None
    width: int | None = None
    seed: int = 0
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Reject lists that are empty, or have invalid values.

        The local runner of Kubeflow's SDK turns a 2 in a list into 2.0.
        """
        steps = [_whole(value) for value in self.num_inference_steps]
        object.__setattr__(self, "num_inference_steps", steps)
        _check_list("guidance_scale", self.guidance_scale, (int, float), 0, "numbers from 0 on")
        _check_list(
            "num_inference_steps", self.num_inference_steps, (int,), 1, "whole numbers from 1 on"
        )

    @property
    def pairs(self) -> list[Pair]:
        """The cells of the grid: for each number of steps, all guidance scales."""
        steps, scales = self.num_inference_steps, self.guidance_scale
        return [Pair(step, float(scale)) for step in steps for scale in scales]

    def apply(self, pipeline: Any, *, with_negatives: bool) -> None:
        """Set the configured scheduler of a pipeline.

        Raises:
            InvalidArgumentError: the pipeline does not support the settings.
        """
        if self.scheduler is not None:
            import diffusers  # noqa: PLC0415 - torch has to be prepared first

            wanted = getattr(diffusers, SCHEDULERS[self.scheduler])
            if wanted not in pipeline.scheduler.compatibles:
                own = type(pipeline.scheduler).__name__
                msg = f"scheduler: {self.scheduler} does not suit a model with {own}; leave it out."
                raise InvalidArgumentError(msg)
            pipeline.scheduler = wanted.from_config(
                pipeline.scheduler.config, **_unclipped(pipeline)
            )
        self._check_steps(pipeline)
        self._check_size(pipeline)
        known = signature(pipeline.__call__).parameters
        guided = list(self.guidance_scale) != [DEFAULT_GUIDANCE]
        for name, asked in (("guidance_scale", guided), ("negative_prompt", with_negatives)):
            if asked and name not in known:
                msg = f"{name}: a {type(pipeline).__name__} has no such thing; leave it out."
                raise InvalidArgumentError(msg)

    def size_for(self, pipeline: Any) -> tuple[int | None, int | None]:
        """Return height and width: as configured, or the model's default; None if decided later."""
        return self.height or _own_side(pipeline, 0), self.width or _own_side(pipeline, 1)

    def metadata(self, pipeline: Any) -> dict[str, Any]:
        """Return the field metadata about how a pipeline generates images."""
        height, width = self.size_for(pipeline)
        told = asdict(self) | {"height": height, "width": width}
        lists = {name: list(told[name]) for name in ("guidance_scale", "num_inference_steps")}
        return told | lists | {"scheduler": type(pipeline.scheduler).__name__}

    def _check_steps(self, pipeline: Any) -> None:
        most = pipeline.scheduler.config.get("num_train_timesteps")
        if most is not None and max(self.num_inference_steps) > most:
            msg = f"num_inference_steps: the model was trained for {most} steps; ask for no more."
            raise InvalidArgumentError(msg)

    def _check_size(self, pipeline: Any) -> None:
        unit = getattr(pipeline, "vae_scale_factor", 1)
        for name in ("height", "width"):
            side = getattr(self, name)
            if side is not None and side % unit:
                msg = f"{name}: the model draws sides that {unit} divides; {side} is none."
                raise InvalidArgumentError(msg)


def _unclipped(pipeline: Any) -> dict[str, Any]:
    """Return the options that keep a scheduler from clipping latents as if they were pixels.

    Some schedulers clip by default; the configuration of a model whose own scheduler never does may
    not mention it.
    """
    is_latent = getattr(pipeline, "vae", None) is not None
    says = "clip_sample" in pipeline.scheduler.config
    return {"clip_sample": False} if is_latent and not says else {}


def _whole(value: Any) -> Any:
    """Return a float without a fraction as an int, and anything else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_list(name: str, values: Any, types: tuple[type, ...], least: int, said: str) -> None:
    sound = all(type(value) in types and value >= least for value in values)
    if not values or not sound:
        msg = f"{name}: needs a list of {said}, such as [{least + 7}], not {list(values)}."
        raise InvalidArgumentError(msg)


def _own_side(pipeline: Any, axis: int) -> int | None:
    """Return the default height (axis 0) or width (1) of a model."""
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    side = model.config.get("sample_size") if model is not None else None
    side = side[axis] if isinstance(side, (list, tuple)) else side
    scale = getattr(pipeline, "vae_scale_factor", None)
    return side * scale if isinstance(side, int) and scale else None
