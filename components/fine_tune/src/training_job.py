"""A complete training: encoding the rows, then running all steps."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from acceleration import frozen_dtype
from base_model import BaseModel
from diffusion_loss import DiffusionLoss
from epoch_plan import EpochPlan
from framing import Framing
from held_out_loss import HeldOutLoss
from latent_encoder import LatentEncoder
from memory_fit import MemoryFit
from optimization import Optimization
from seen_examples import ExampleMaker
from tensor_store import TensorStore
from text_vectors import EMPTY, TextVectors
from training_checkpoints import Checkpoints
from training_loop import Parts, TrainingLoop
from training_set import TrainingSet, TrainingSetMaker
from tuned_weights import TunedWeights
from tuning_settings import ExampleSettings, OptimizerSettings, RunSettings

from fondant_spec.dataset.rejects import Rejects

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """All settings of a training."""

    run: RunSettings
    optimizer: OptimizerSettings
    example: ExampleSettings
    framing: Framing
    snr_gamma: float | None
    validation_fraction: float
    precision: str


class TrainingJob:
    """A training with its files in one folder: existing ones are reused."""

    def __init__(self, base: BaseModel, settings: Settings, folder: Path, accelerator: Any) -> None:
        self._base = base
        self._settings = settings
        self._folder = folder
        self._accelerator = accelerator
        self._dtype = frozen_dtype(settings.precision)
        self._images = TensorStore(folder / "latents")
        texts = TensorStore(folder / "texts" / settings.precision)
        self._texts = TextVectors(texts, base, accelerator.device, self._dtype)
        self._encoder = LatentEncoder(base.pipeline.vae, accelerator.device)

    def read(self, batches: Iterable[pa.RecordBatch], rejects: Rejects) -> TrainingSet:
        """Encode the rows, and return the samples."""
        maker = TrainingSetMaker(
            framing=self._settings.framing,
            validation_fraction=self._settings.validation_fraction,
            seed=self._settings.run.seed,
            images=self._images,
            encoder=self._encoder,
            texts=self._texts,
        )
        samples = maker.made(batches, rejects)
        if self._settings.example.caption_dropout:
            self._texts.add([EMPTY])
        self.rest()
        return samples

    def rest(self) -> None:
        """Release the text encoders, and move the image encoder to the CPU."""
        self._texts.close()
        self._encoder.rest()

    def train(self, samples: TrainingSet) -> tuple[TrainingLoop, TunedWeights]:
        """Run all steps; return the finished loop, and the weights."""
        run = self._settings.run
        self.rest()
        weights = self._weights()
        loss = self._loss(weights)
        maker = self._maker()
        fit = MemoryFit(run.train_batch_size, run.gradient_accumulation_steps)
        plan = EpochPlan(
            samples.train,
            batch_size=run.train_batch_size,
            accumulated=run.gradient_accumulation_steps * run.num_processes,
            seed=run.seed,
        )
        steps = run.max_train_steps or run.num_train_epochs * plan.steps_per_epoch
        held_out = HeldOutLoss(samples.held_out, maker, loss, fit, self._accelerator)
        optimizer = self._settings.optimizer
        parts = Parts(
            accelerator=self._accelerator,
            weights=weights,
            loss=loss,
            optimization=Optimization(self._accelerator, weights.parameters, optimizer, steps),
            plan=plan,
            samples=samples.train,
            maker=maker,
            held_out=held_out if samples.held_out else None,
            fit=fit,
            checkpoints=Checkpoints(self._folder / "checkpoints", samples.digest()),
            steps=steps,
        )
        loop = TrainingLoop(parts, run, self._folder / "logs")
        loop.run()
        return loop, weights

    def _weights(self) -> TunedWeights:
        run, unet = self._settings.run, self._base.pipeline.unet
        weights = TunedWeights(
            unet,
            method=run.method,
            rank=run.rank,
            seed=run.seed,
            device=self._accelerator.device,
            dtype=self._dtype,
        )
        if run.use_ema:
            weights.average()
        if run.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        return weights

    def _loss(self, weights: TunedWeights) -> DiffusionLoss:
        return DiffusionLoss(
            weights.unet,
            self._base.schedule,
            self._encoder,
            self._dtype,
            self._accelerator.autocast,
            self._settings.snr_gamma,
        )

    def _maker(self) -> ExampleMaker:
        return ExampleMaker(
            settings=self._settings.example,
            seed=self._settings.run.seed,
            timesteps=self._base.timesteps,
            latent_shape=self._base.latent_shape,
            images=self._images,
            texts=self._texts,
            drawn_view=self._settings.framing.drawn_view,
        )
