"""Of two partitions, one gets its batch ready while the other's runs."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Lock

import numpy as np
import pytest
import torch

from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.model_runner import EncoderRunner, TwoAtOnce
from image_toolkit.models.runtime.spread import delayed, spread

ON_CPU = Placement(torch.device("cpu"), "fp32")
SECONDS = 20


@pytest.fixture
def embed(tiny):
    """Return an encoder, its model, and how it is called."""
    encoder = image_encoder(str(tiny("clip")))
    runner = EncoderRunner(encoder, ON_CPU, "torch", BatchSize(4))
    return encoder, encoder.tower, lambda: runner(encoder.probes())


@pytest.fixture
def caption(tiny):
    """Return the intake of a captioner, its model, and how it is called."""
    captioner = LocalCaptioner(find_model(str(tiny("blip"))), ON_CPU, None)
    run = partial(captioner.captions, captioner.probes(), ["a", "b"], Generation(max_new_tokens=3))
    return captioner._intake, captioner._model.vision_model, run


@pytest.mark.parametrize("kind", ["embed", "caption"])
def test_batches_are_collated_side_by_side_and_run_one_by_one(kind, request, monkeypatch):
    """Both partitions collate at the same time; the model sees one batch at a time."""
    taken_by, model, run = request.getfixturevalue(kind)
    both, busy, overlaps = Barrier(2), Lock(), []
    collate, forward = taken_by.collate, model.forward

    def meeting(*items):
        both.wait(SECONDS)
        return collate(*items)

    def alone(*arguments, **options):
        free = busy.acquire(blocking=False)
        overlaps.append(not free)
        made = forward(*arguments, **options)
        busy.release()
        return made

    monkeypatch.setattr(taken_by, "collate", meeting)
    monkeypatch.setattr(model, "forward", alone)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: run(), range(2)))
    assert len(results) == 2
    assert not any(overlaps)


class Device:
    """Stands in for a runner, and notes what is asked of it."""

    def __init__(self):
        self.noted = []

    def launch(self, item):
        """Return a batch under way."""
        self.noted.append(f"launch {item}")
        return Batch(self.noted, item)


class Batch:
    """Stands in for what a runner launched."""

    def __init__(self, noted, item):
        self.noted, self.item = noted, item

    def wait(self):
        """Note that it is waited for."""
        self.noted.append(f"wait {self.item}")


def test_a_batch_is_read_while_the_next_one_is_under_way():
    """A device has its next batch before the one before is waited for, and never a third."""
    device = Device()
    launched = spread([TwoAtOnce(device)], iter("abc"))
    for given, batch in delayed(launched, 1):
        assert given == batch.item
        device.noted.append(f"read {given}")
    assert device.noted == [
        *("launch a", "launch b", "wait a", "read a"),
        *("launch c", "wait b", "read b", "read c"),
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu_are_those_of_the_cpu(tiny):
    """Many batches, launched one after the other, each come out as their own."""
    encoder = image_encoder(str(tiny("clip")))
    items = [*encoder.probes()] * 50
    wanted = EncoderRunner(encoder, ON_CPU, "torch", BatchSize(8)).vectors(items)
    on_gpu = Placement(torch.device("cuda"), "fp32")
    runner = EncoderRunner(image_encoder(str(tiny("clip"))), on_gpu, "torch", BatchSize(3))
    embeddings = [runner.launch(items[at : at + 7]) for at in range(0, len(items), 7)]
    made = [vector for embedding in embeddings for vector in embedding.vectors()]
    assert (np.stack(made) * wanted).sum(-1).min() > 0.9999
