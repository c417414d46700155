"""How an image tower is run on this CPU: the fastest way, with the same result."""

from functools import partial

import pytest
import torch
from torch import nn

from image_toolkit.models.cpu import tower_trial
from image_toolkit.models.cpu.packed_layers import Activation, PackedLinear
from image_toolkit.models.cpu.quantised_layers import QuantisedLinear, RowQuantiser
from image_toolkit.models.cpu.tower_trial import USUAL, best_piece
from tests.tiny_models import BF16, INT8

WIDTH = 768
KINDS = {
    "fp32": partial(PackedLinear, dtype=torch.float32),
    "bf16": partial(PackedLinear, dtype=torch.bfloat16),
    "int8": partial(QuantisedLinear, quantiser=RowQuantiser()),
}
GELU = Activation("gelu", "none", torch.ops.aten.gelu_)


def tower(kind="fp32", layers=3):
    """Return layers as wide as those of a real tower."""
    return nn.Sequential(*(KINDS[kind](nn.Linear(WIDTH, WIDTH)) for _ in range(layers)))


@pytest.mark.parametrize(
    ("small", "chosen"), [(0.5, 400), (0.98, USUAL), (1.0, USUAL), (1.5, USUAL)]
)
def test_what_takes_less_time_is_taken(small, chosen, monkeypatch, caplog):
    """The usual number, unless a token is clearly faster in a smaller piece."""
    relative = {USUAL: 1.0, 400: small}
    monkeypatch.setattr(tower_trial, "_seconds_a_token", lambda _, size: 1e-5 * relative[size])
    torch.set_num_threads(3)
    with caplog.at_level("INFO"):
        assert best_piece(tower()) == chosen
    assert torch.get_num_threads() == 3
    told = f"{chosen} tokens a core go through an image tower at once, by trial (800: 10.0 µs each"
    assert told in caplog.text


@pytest.mark.parametrize("kind", ["fp32", BF16, INT8])
def test_a_trial(kind):
    """Layers of each kind can be tried, and give one of the numbers."""
    assert best_piece(tower(kind)) in (400, USUAL)


def test_small_towers_are_not_tried(caplog):
    """A trial could tell nothing about them."""
    with caplog.at_level("INFO"):
        small = nn.Sequential(KINDS["fp32"](nn.Linear(64, 64), GELU))
        for one in (small, nn.Sequential(nn.Linear(WIDTH, WIDTH))):
            assert best_piece(one) == USUAL
    assert not caplog.text


@pytest.mark.parametrize("kind", ["fp32", BF16, INT8])
def test_a_trial_is_bounded(kind):
    """However deep the tower is, the layers that are tried have so many bytes and no more."""
    layers = tower_trial._first(tower(kind, layers=60))
    size = {"fp32": 4, "bf16": 2, "int8": 1}[kind]
    assert 32_000_000 <= len(layers) * size * WIDTH**2 < 32_000_000 + size * WIDTH**2


@pytest.mark.parametrize("kind", ["fp32", BF16, INT8])
@pytest.mark.parametrize("size", [1, 7, 50, 197, 400, 800])
@pytest.mark.parametrize("shape", [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)], ids=["wide", "back"])
def test_the_values_hardly_depend_on_it(kind, size, shape):
    """A layer gives the same for a token but for rounding, whatever else goes through with it."""
    layer = KINDS[kind](nn.Linear(*shape), GELU)
    values = torch.randn(1600, shape[0], generator=torch.Generator().manual_seed(0))
    values = values.to(layer.weight.dtype)
    with torch.inference_mode():
        whole = layer(values)
        pieces = torch.cat([layer(piece) for piece in values.split(size)])
    torch.testing.assert_close(pieces, whole)
