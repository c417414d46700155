"""Fine-tune Stable Diffusion on the images and captions of a dataset."""

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from acceleration import accelerated, chosen_precision, device_name
from base_model import load_base
from framing import Framing
from lora_files import write_lora
from loss_events import write_events
from model_card import model_card
from training_job import Settings, TrainingJob
from training_loop import TrainingLoop
from training_processes import Share, train_together
from training_record import FILE, TrainingRecord
from training_set import TrainingSet
from tuned_pipeline import write_pipeline
from tuned_weights import TunedWeights
from tuning_settings import LORA, ExampleSettings, ImageSettings, OptimizerSettings, RunSettings

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.written_files import MARK
from fondant_spec.errors import InputDataError
from fondant_spec.executor import execute
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.publishing.published_folder import check_replaceable, published
from image_toolkit.training.splits import TRAIN, VALIDATION

logger = logging.getLogger(__name__)

CARD = "README.md"
LOGS = "logs"


class FineTune(WriteComponent):
    """Writes one folder with a LoRA or a whole pipeline, and how its training went."""

    uses_device = True
    batch_rows = 32  # whose images are decoded at once

    def __init__(
        self,
        *,
        model_id: str,
        revision: str | None = None,
        output_path: str | None = None,
        prediction_type: str | None = None,
        validation_fraction: float = 0.0,
        snr_gamma: float | None = None,
        mixed_precision: str | None = None,
        device: str = "auto",
        run: RunSettings,
        optimizer: OptimizerSettings,
        example: ExampleSettings,
        image: ImageSettings,
    ) -> None:
        self._model_id = model_id
        self._revision = revision
        self._output_path = output_path and storage.normalize(output_path)
        self._prediction_type = prediction_type
        self._validation_fraction = validation_fraction
        self._snr_gamma = snr_gamma
        self._mixed_precision = mixed_precision
        self._device = device
        self._run = run
        self._optimizer = optimizer
        self._example = example
        self._image = image

    def setup(self, context: SetupContext) -> None:
        """Load the model, and make sure that the target is free, before any work.

        Raises:
            InputDataError: it is no Stable Diffusion, or not to be had.
            InvalidArgumentError: the device cannot train so, or the resolution is none.
            StorageError: the target holds somebody else's files, or some that were changed.
        """
        self._target = self._output_path or context.output_directory
        if self._output_path or storage.exists(storage.join(self._target, MARK)):
            check_replaceable(self._target)
        self._cache_key = context.cache_key
        self._unfinished = context.unfinished_directory
        self._precision = chosen_precision(
            self._device, self._mixed_precision, self._run.num_processes
        )
        self._base = load_base(self._model_id, self._revision, self._prediction_type)
        self._framing = Framing(self._image.resolution or self._base.resolution, self._image)

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Train on all rows, and return what tells that the model is there.

        Raises:
            InputDataError: there is nothing to train on, the loss is no number any more, or memory
                does not suffice.
        """
        mark: dict[str, Any] = {"cache_key": self._cache_key}
        with (
            _folder_of(self._unfinished) as unfinished,
            accelerated(self._device, self._precision) as accelerator,
        ):
            job = TrainingJob(self._base, self._settings(), unfinished, accelerator)
            samples = job.read(batches, context.rejects)
            _tell(samples, context.rejects.counts, self._framing.resolution)
            if self._run.num_processes > 1:
                train_together(self._share(samples, unfinished))
            loop, weights = job.train(samples)
            record = self._record(samples, loop, device_name(accelerator.device))
            with published(self._target, mark) as folder:
                self._write_model(folder, weights)
                _write_record(folder, record)
        return [storage.join(self._target, name) for name in (MARK, CARD)]

    def _share(self, samples: TrainingSet, folder: Path) -> Share:
        return Share(
            model_id=self._model_id,
            revision=self._revision,
            prediction_type=self._prediction_type,
            settings=self._settings(),
            samples=samples,
            folder=folder,
            device=self._device,
        )

    def _settings(self) -> Settings:
        return Settings(
            run=self._run,
            optimizer=self._optimizer,
            example=self._example,
            framing=self._framing,
            snr_gamma=self._snr_gamma,
            validation_fraction=self._validation_fraction,
            precision=self._precision,
        )

    def _write_model(self, folder: HashedFolder, weights: TunedWeights) -> None:
        with weights.best() as unet:
            if self._run.method == LORA:
                names = write_lora(self._base, unet, self._run.rank, folder.path)
            else:
                names = write_pipeline(self._base, unet, folder.path)
        for name in names:
            folder.enter(name)

    def _record(self, samples: TrainingSet, loop: TrainingLoop, device: str) -> TrainingRecord:
        return TrainingRecord(
            base=self._base,
            model_id=self._model_id,
            arguments=self._arguments(),
            samples=samples,
            curve=loop.curve,
            epochs=loop.epochs,
            pace=loop.pace,
            device=device,
            batch_size=loop.batch_size,
        )

    def _arguments(self) -> dict[str, Any]:
        """Return all arguments that matter, with what stands for those that were left out."""
        groups = (self._run, self._optimizer, self._example, self._image)
        told = {name: value for group in groups for name, value in asdict(group).items()}
        return told | {
            "resolution": self._framing.resolution,
            "validation_fraction": self._validation_fraction,
            "snr_gamma": self._snr_gamma,
            "mixed_precision": self._precision,
        }


def _write_record(folder: HashedFolder, record: TrainingRecord) -> None:
    folder.write(FILE, (json.dumps(record.to_json(), indent=2) + "\n").encode())
    folder.write(CARD, model_card(record).encode())
    logs = folder.path / LOGS
    write_events(logs, record.curve)
    for file in logs.iterdir():
        folder.enter(f"{LOGS}/{file.name}")


@contextmanager
def _folder_of(unfinished: str) -> Iterator[Path]:
    """Yield a folder for what is kept until the step is done."""
    if not storage.is_remote(unfinished):
        Path(unfinished).mkdir(parents=True, exist_ok=True)
        yield Path(unfinished)
        return
    logger.warning(
        "The base path is no folder of this machine, so checkpoints lie in a temporary one: a run "
        "that is stopped begins anew."
    )
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def _tell(samples: TrainingSet, rejects: dict[str, int], resolution: int) -> None:
    """Log what there is to train on.

    Raises:
        InputDataError: it is nothing.
    """
    count, held_out = len(samples.train), len(samples.held_out)
    if not count:
        lost = ", ".join(f"{reason} {number:,}" for reason, number in rejects.items()) or "none"
        msg = (
            f"fine_tune: no images to train on. Rows with split {VALIDATION}: {held_out:,}; "
            f"rejected: {lost}. Rows need an image, a caption, and split {TRAIN} or none."
        )
        raise InputDataError(msg)
    logger.info("%s images to train on, %s to validate with", f"{count:,}", f"{held_out:,}")
    if count == 1:
        logger.warning("One image alone: the model will learn it by heart.")
    if not held_out:
        logger.warning(
            "No images to validate with, so nothing will tell when the model begins to learn by "
            "heart: set validation_fraction, or put split_rows before."
        )
    if samples.enlarged:
        logger.warning(
            "%s of %s images are smaller than %d pixels, and were enlarged.",
            f"{samples.enlarged:,}",
            f"{count + held_out:,}",
            resolution,
        )


if __name__ == "__main__":
    execute(FineTune)
