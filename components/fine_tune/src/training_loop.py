"""The training loop, which resumes from the last checkpoint."""

import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusion_loss import DiffusionLoss
from epoch_plan import EpochPlan
from held_out_loss import HeldOutLoss
from loss_curve import HeldOut, LossCurve, Trained
from loss_events import LossEvents
from memory_fit import MemoryFit
from optimization import Optimization
from pace import Pace
from seen_examples import Example, ExampleMaker
from training_checkpoints import Checkpoint, Checkpoints
from training_set import Sample
from tuned_weights import TunedWeights
from tuning_settings import RunSettings

from fondant_spec.errors import InputDataError
from image_toolkit.models.runtime.device import EXACT, Placement
from image_toolkit.models.runtime.device_use import DeviceUse


@dataclass(frozen=True)
class Parts:
    """The parts of a loop; see each.

    `held_out` is None if there are no held-out images. `steps` is the total number of steps.
    """

    accelerator: Any
    weights: TunedWeights
    loss: DiffusionLoss
    optimization: Optimization
    plan: EpochPlan
    samples: list[Sample]
    maker: ExampleMaker
    held_out: HeldOutLoss | None
    fit: MemoryFit
    checkpoints: Checkpoints
    steps: int


class TrainingLoop:
    """Trains; several processes may do so together, each with a share of every step's batches."""

    def __init__(self, parts: Parts, settings: RunSettings, logs: Path) -> None:
        """`logs` is the folder for live loss curves."""
        self._parts = parts
        self._settings = settings
        self._curve = LossCurve()
        self._done = 0
        self._pace = Pace(parts.steps)
        self._logs = logs
        self._use = DeviceUse(Placement(parts.accelerator.device, EXACT))

    @property
    def curve(self) -> LossCurve:
        """All losses so far."""
        return self._curve

    @property
    def epochs(self) -> int:
        """The number of epochs begun."""
        return self._parts.plan.epoch_of(self._parts.steps - 1) + 1

    @property
    def batch_size(self) -> int:
        """The number of images that go through the model at once."""
        return self._parts.fit.most

    @property
    def pace(self) -> Pace:
        """The training speed."""
        return self._pace

    def run(self) -> None:
        """Run all remaining steps.

        Raises:
            InputDataError: the loss is no longer finite, or memory does not suffice.
        """
        self._resume()
        shown = self._parts.accelerator.is_main_process
        with closing(LossEvents(self._logs if shown else None, self._done)) as self._events:
            if not self._done:
                self._look(0)
            for step, batches in self._prepared(range(self._done, self._parts.steps)):
                self._take(step, batches)
        self._use.tell()

    def _take(self, step: int, batches: list[list[Example]]) -> None:
        parts, began = self._parts, time.monotonic()
        count = sum(map(len, parts.plan.batches(step)))
        rate = parts.optimization.learning_rate
        with self._use.batch():
            loss = parts.fit.run(lambda: self._gradient(batches, count), self._anybody)
            if not math.isfinite(loss) or not parts.optimization.step():
                raise self._diverged(step + 1, rate)
        parts.weights.stepped()
        trained = Trained(step + 1, loss, rate)
        self._curve.train.append(trained)
        self._events.trained(trained)
        self._pace.advance(count, time.monotonic() - began)
        epoch = self._parts.plan.epoch_of(step) + 1
        if parts.accelerator.is_main_process:
            self._pace.tell(trained, epoch, self._curve)
        if self._is_due(step + 1):
            self._look(step + 1)
        if (step + 1) % self._settings.checkpointing_steps == 0 or step + 1 == parts.steps:
            self._save(step + 1)

    def _gradient(self, batches: list[list[Example]], count: int) -> float:
        """Add the gradient of all batches of a step with `count` examples; return the mean loss."""
        parts = self._parts
        parts.optimization.forget()
        total = torch.zeros((), device=parts.accelerator.device)
        for batch in batches:
            for piece in parts.fit.pieces(batch):
                loss = parts.loss(piece).sum() / count
                parts.optimization.backward(loss)
                total += loss.detach()
        return float(parts.accelerator.reduce(total, "sum"))

    def _anybody(self, ran_out: bool) -> bool:  # noqa: FBT001 - what it is asked
        if self._parts.accelerator.num_processes == 1:
            return ran_out
        told = torch.tensor(float(ran_out), device=self._parts.accelerator.device)
        return bool(self._parts.accelerator.reduce(told, "sum") > 0)

    def _prepared(self, steps: range) -> Iterator[tuple[int, list[list[Example]]]]:
        """Yield steps with their examples, which are prepared during the previous step."""
        waiting: deque[Future[list[list[Example]]]] = deque()
        with ThreadPoolExecutor(1) as ahead:
            for step in steps:
                waiting.append(ahead.submit(self._examples, step))
                if len(waiting) > 1:
                    yield step - 1, waiting.popleft().result()
            if waiting:
                yield steps[-1], waiting.popleft().result()

    def _examples(self, step: int) -> list[list[Example]]:
        """Return this process's share of a step."""
        parts = self._parts
        mine = slice(parts.accelerator.process_index, None, parts.accelerator.num_processes)
        return [
            [parts.maker.seen(step, place, parts.samples[place.sample]) for place in batch]
            for batch in parts.plan.batches(step)[mine]
        ]

    def _is_due(self, done: int) -> bool:
        """Return whether the held-out images are to be evaluated after that many steps."""
        every = self._settings.validation_steps or self._parts.plan.steps_per_epoch
        return done % every == 0 or done == self._parts.steps

    def _look(self, done: int) -> None:
        if self._parts.held_out is None:
            return
        with self._parts.weights.best():
            loss = self._parts.held_out.now()
        epoch = -(-done // self._parts.plan.steps_per_epoch)
        look = HeldOut(done, epoch, loss)
        self._curve.held_out.append(look)
        self._events.held_out(look)
        if self._parts.accelerator.is_main_process:
            self._pace.tell_look(look)

    def _save(self, done: int) -> None:
        if not self._parts.accelerator.is_main_process:
            return
        told = {
            "curve": self._curve.to_json(),
            "pace": self._pace.to_json(),
            "most": self._parts.fit.most,
        }
        state = self._parts.optimization.state()
        tensors = self._parts.weights.tensors()
        self._parts.checkpoints.save(Checkpoint(done, tensors, state, told))

    def _resume(self) -> None:
        found = self._parts.checkpoints.last()
        if found is None:
            return
        self._parts.weights.load(found.weights, found.step)
        self._parts.optimization.load(found.optimizer)
        self._curve = LossCurve.from_json(found.told["curve"])
        self._pace.resume(found.told["pace"], found.step)
        self._parts.fit.most = found.told["most"]
        self._done = found.step

    def _diverged(self, step: int, rate: float) -> InputDataError:
        kept = self._parts.checkpoints.where()
        where = f"The last good state is kept in {kept}." if kept else "No state was kept yet."
        return InputDataError(
            f"fine_tune: the loss of step {step} is no number (it was {self._curve.mean(1):.4g} "
            f"before), at a learning rate of {rate:.3g}. {where} Lower learning_rate, set "
            "lr_warmup_steps with another lr_scheduler than constant, or use mixed_precision bf16 "
            "or no where it is fp16.",
        )
