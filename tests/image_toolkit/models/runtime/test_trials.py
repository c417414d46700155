"""Trials before the rows arrive: batch sizes, precisions, and whether a model fits."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.runtime import batch_trial
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.fitting import placing
from image_toolkit.models.runtime.layer_peaks import range_used
from image_toolkit.models.runtime.model_runner import start_runners
from image_toolkit.models.runtime.out_of_memory import DoesNotFitError
from tests.tiny_models import NEEDS_BF16, NEEDS_GPU

CPU = torch.device("cpu")
GPU = Placement(torch.device("cuda", 0), "fp16")
BEYOND_ANY_MEMORY = 1 << 58


class Card:
    """Stands for a card of so many bytes, on which a batch costs time and memory for each item."""

    def __init__(self, monkeypatch, *, free, seconds, item_bytes=1000):
        self.sizes, self._now, self._taken = [], 0.0, 0
        self._seconds, self._free, self._item_bytes = seconds, free, item_bytes
        for name, made in {
            "reset_peak_memory_stats": lambda _device: None,
            "memory_allocated": lambda _device: 0,
            "max_memory_allocated": lambda _device: self._taken,
            "mem_get_info": lambda _device: (free, free),
            "empty_cache": lambda: None,
            "get_per_process_memory_fraction": lambda _device: 1.0,
            "memory_reserved": lambda _device: 0,
        }.items():
            monkeypatch.setattr(torch.cuda, name, made)
        monkeypatch.setattr(batch_trial.time, "perf_counter", lambda: self._now)

    def ready(self, size):
        """Return what runs a batch."""

        def run():
            self._taken = size * self._item_bytes
            if self._taken > self._free:
                torch.empty(BEYOND_ANY_MEMORY)
            self.sizes.append(size)
            self._now += self._seconds(size)

        return run


@pytest.mark.parametrize(
    ("seconds", "free", "best", "largest"),
    [
        (lambda size: 0.001 + size / 10_000, 1e9, 512, 1024),  # what each batch costs beside
        (lambda size: size / 1000, 1e9, 64, 256),  # larger ones pay nowhere, and take long
        (lambda size: 0.1 + size / 1000, 1e9, 128, 256),  # the next would be faster, but takes long
        (lambda size: 0.01 + size / 10_000, 150_000, 64, 64),  # twice that would not fit
        (lambda _size: 0.001, 20_000, 16, 0),  # not even the smallest fits
    ],
)
def test_the_smallest_batch_at_full_speed(seconds, free, best, largest, monkeypatch):
    """Sizes double while there is time and memory; the smallest that is as fast is taken."""
    card = Card(monkeypatch, free=free, seconds=seconds)
    assert batch_trial.best_batch_size(card.ready, GPU) == best
    assert max(card.sizes, default=0) == largest
    assert len(card.sizes) == 2 * len(set(card.sizes))


def test_other_errors_are_raised(monkeypatch):
    """Only want of memory says something of a size."""
    Card(monkeypatch, free=1e9, seconds=float)
    with pytest.raises(ZeroDivisionError):
        batch_trial.best_batch_size(lambda size: lambda: size / 0, GPU)


@pytest.mark.parametrize(("factor", "share"), [(1.0, 3 / 65504), (10_000.0, 30_000 / 65504)])
def test_the_range_that_layers_use(factor, share):
    """It is that of the largest value between any two layers, though a later one makes it small."""
    first, last = nn.Linear(3, 3, bias=False).half(), nn.Linear(3, 1, bias=False).half()
    first.weight.data = torch.eye(3).half() * factor
    last.weight.data.fill_(1e-5)
    model = nn.Sequential(first, last)
    used = range_used(model, lambda: model(torch.tensor([[1.0, -3.0, 2.0]]).half()))
    assert used == pytest.approx(share, rel=1e-3)
    assert not model[0]._forward_hooks


def test_beyond_the_range_that_a_layer_has():
    """A value that is infinite is told, though the end of the model hides it."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False).half(), nn.Hardtanh())
    model[0].weight.data.fill_(60_000)
    assert not range_used(model, lambda: model(torch.tensor([[2.0]]).half())) <= 1


def strayed(folder, large):
    """Return an encoder, one of whose layers has values of this size."""
    encoder = image_encoder(str(folder))
    layer = encoder.tower.tower.model.vision_model.encoder.layers[0].mlp
    layer.fc1.bias.data.fill_(large)
    layer.fc2.weight.data.div_(large)
    return encoder


@NEEDS_BF16
@pytest.mark.parametrize(("large", "taken"), [(1.0, "fp16"), (60_000.0, "bf16")])
def test_the_precision_closest_to_fp32(large, taken, tiny, caplog):
    """fp16 is closer by three bits, unless a layer comes near the end of its range."""
    caplog.set_level(logging.INFO)
    make, placement = partial(strayed, tiny("clip"), large), Placement(CPU, "bf16", ("fp16",))
    (runner,) = start_runners(make, [placement], "torch", lambda: BatchSize(4))
    assert runner.placement == Placement(CPU, taken)
    assert np.isfinite(runner.vectors(runner.encoder.probes())).all()
    assert ("cpu fp16 with torch: ends too early" in caplog.text) == (taken == "bf16")


def test_a_model_that_does_not_fit():
    """What it needs and what there is are told in one sentence, and nothing of it stays."""
    model = nn.Linear(1000, 1000)
    with pytest.raises(DoesNotFitError) as caught, placing("any", model, Placement(CPU, "fp32")):
        torch.empty(BEYOND_ANY_MEMORY)
    assert str(caught.value).startswith(
        "Model 'any' does not fit on cpu: its weights alone take 4.0 MB in fp32, and "
    )
    assert model.weight.is_meta


def test_other_errors_are_not_of_memory():
    """They are raised as they are."""
    with pytest.raises(ZeroDivisionError), placing("a", nn.Linear(1, 1), GPU):
        _ = 1 / 0


@pytest.mark.gpu
@NEEDS_GPU
def test_batches_on_a_card(tiny):
    """On a real card a size is found, and its vectors are those of small batches."""
    encoder = partial(image_encoder, str(tiny("clip")))
    (runner,) = start_runners(encoder, [GPU], "torch", lambda: BatchSize(2))
    probes = runner.encoder.probes()
    before = runner.vectors(probes)
    runner.find_batch_size()
    assert runner.size.now >= 32
    after = runner.vectors([*probes] * (runner.size.now // len(probes)))
    assert (after[: len(probes)] * before).sum(-1).min() > 0.9999
