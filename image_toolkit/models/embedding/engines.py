"""Engines: what runs a tower that is already placed."""

import importlib.util
from collections.abc import Callable
from typing import Final

import torch
from torch import nn
from torch.nn.functional import normalize

from fondant_spec.errors import InvalidArgumentError, MissingDependencyError
from image_toolkit.models.embedding.embedders import Inputs, Vectors
from image_toolkit.models.runtime.device import EXACT, Placement
from image_toolkit.models.runtime.shortcuts import only_first_token, speed_up

Launched = Callable[[], Vectors]
"""A batch in progress on a device: returns its vectors once they are computed."""


class Engine:
    """Runs a tower on batches that are in CPU memory."""

    def __init__(self, launch: Callable[[Inputs], Launched]) -> None:
        self.launch = launch

    def __call__(self, inputs: Inputs) -> Vectors:
        """Return unit vectors, float32, shape (batch, dimension)."""
        return self.launch(inputs)()


_OPENVINO_NAMES: Final = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def choose_engine(name: str, placement: Placement, inputs: Inputs) -> str:
    """Return the engine to use: `auto` is torch, which starts in a second.

    OpenVINO is 3 to 5 % faster on the CPUs that were measured, once it has converted the model,
    which takes half a minute and twice the memory.

    Raises:
        InvalidArgumentError: OpenVINO was requested on a GPU, for inputs other than pixels, or for
            int8.
        MissingDependencyError: OpenVINO was requested, but is not installed.
    """
    able = not placement.is_cuda and set(inputs) == {"pixels"} and placement.precision != "int8"
    installed = importlib.util.find_spec("openvino") is not None
    if name == "auto":
        return "torch"
    if name == "openvino" and not able:
        msg = (
            "engine: openvino runs image towers with plain pixel inputs, on a CPU, not in int8; "
            "use torch."
        )
        raise InvalidArgumentError(msg)
    if name == "openvino" and not installed:
        msg = "engine: openvino is not installed; `pip install openvino`, or use torch."
        raise MissingDependencyError(msg)
    return name


def start_engine(
    name: str,
    tower: nn.Module,
    placement: Placement,
    inputs: Inputs,
) -> Engine:
    """Return the engine that runs `tower`; `inputs` is an example of its inputs."""
    only_first_token(tower)
    module = _UnitVectors(tower).eval()
    if name == "openvino":
        return _openvino(module, placement, inputs)
    return _torch(speed_up(module, placement), placement)


def exact_engine(tower: nn.Module, device: torch.device) -> Engine:
    """Return `tower` as loaded, in fp32 on a device: the reference for comparisons."""
    return _torch(_UnitVectors(tower).eval().to(device), Placement(device, EXACT))


class _UnitVectors(nn.Module):  # type: ignore[misc]  # torch has no types
    """A tower with unit-length vectors."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return normalize(self.tower(**inputs).float(), dim=-1)


class _FromPixels(nn.Module):  # type: ignore[misc]  # torch has no types
    """A module with one positional argument, as tracing requires."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.module(pixels=pixels)


class _OnItsWay:
    """Vectors that a GPU has yet to compute, and to copy to pinned memory."""

    def __init__(self, vectors: torch.Tensor, inputs: Inputs) -> None:
        self._inputs: Inputs | None = inputs  # the GPU may still have to read them
        self._vectors = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        self._vectors.copy_(vectors, non_blocking=True)
        self._there = torch.cuda.Event(blocking=True)  # waiting leaves the core to others
        self._there.record(torch.cuda.current_stream(vectors.device))

    def __call__(self) -> Vectors:
        if self._inputs is not None:
            self._there.synchronize()
            self._inputs = None
        result: Vectors = self._vectors.numpy()
        return result


def _torch(module: Callable[..., torch.Tensor], placement: Placement) -> Engine:
    def launch(inputs: Inputs) -> Launched:
        with torch.inference_mode():
            vectors = module(**to_device(inputs, placement))
            return _OnItsWay(vectors, inputs) if placement.is_cuda else vectors.numpy

    return Engine(launch)


def to_device(
    inputs: Inputs,
    placement: Placement,
) -> Inputs:
    """Return the inputs on the device; the copy to a GPU is asynchronous if they are pinned."""
    if not placement.is_cuda:
        return inputs
    return {k: v.to(placement.device, non_blocking=True) for k, v in inputs.items()}


def pinned(
    inputs: Inputs,
    placement: Placement,
) -> Inputs:
    """Return the inputs in pinned memory for a GPU; otherwise unchanged."""
    return {k: v.pin_memory() for k, v in inputs.items()} if placement.is_cuda else inputs


def _openvino(
    module: nn.Module,
    placement: Placement,
    inputs: Inputs,
) -> Engine:
    import openvino  # noqa: PLC0415 - optional, and heavy

    pixels = inputs["pixels"]
    shape = openvino.PartialShape([-1, *pixels.shape[1:]])
    model = openvino.convert_model(_FromPixels(module), example_input=pixels, input=[shape])
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _OPENVINO_NAMES[placement.precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            # Pinned threads of two processes would all run on the first cores.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()

    def launch(inputs: Inputs) -> Launched:
        outputs = request.infer([inputs["pixels"].numpy()], share_inputs=True)
        result: Vectors = outputs[0].copy()
        return lambda: result

    return Engine(launch)
