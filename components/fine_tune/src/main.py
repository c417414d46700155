"""Fine-tunes Stable Diffusion on the images and captions of a dataset."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from acceleration import accelerated, chosen_precision, device_name
from base_model import load_base
from framing import Framing
from rows_told import tell
from training_job import Settings, TrainingJob
from training_loop import TrainingLoop
from training_processes import Share, train_together
from training_record import TrainingRecord
from training_set import TrainingSet
from tuned_folder import CARD, write_folder
from tuning_settings import ExampleSettings, ImageSettings, OptimizerSettings, RunSettings
from work_folder import work_folder

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.written_files import MARK
from fondant_spec.executor import execute
from image_toolkit.publishing.published_folder import check_replaceable, published


class FineTune(WriteComponent):
    """Writes a folder with a LoRA or a whole pipeline, and a record of its training."""

    uses_device = True
    batch_rows = 32  # whose images are decoded together

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
        """Load the model, and check that the target is free, before any work.

        Raises:
            InputDataError: it is not Stable Diffusion, or not available.
            InvalidArgumentError: the device does not support the settings, or the resolution is
                invalid.
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
        """Train on all rows, and return the path of the model's mark.

        Raises:
            InputDataError: there is nothing to train on, the loss is no longer finite, or memory
                does not suffice.
        """
        mark: dict[str, Any] = {"cache_key": self._cache_key}
        with (
            work_folder(self._unfinished) as unfinished,
            accelerated(self._device, self._precision) as accelerator,
        ):
            job = TrainingJob(self._base, self._settings(), unfinished, accelerator)
            samples = job.read(batches, context.rejects)
            tell(samples, context.rejects.counts, self._framing.resolution)
            if self._run.num_processes > 1:
                train_together(self._share(samples, unfinished))
            loop, weights = job.train(samples)
            record = self._record(samples, loop, device_name(accelerator.device))
            with published(self._target, mark) as folder:
                write_folder(folder, record, weights)
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
        """Return all relevant arguments, with the values chosen for those that were left out."""
        groups = (self._run, self._optimizer, self._example, self._image)
        told = {name: value for group in groups for name, value in asdict(group).items()}
        return told | {
            "resolution": self._framing.resolution,
            "validation_fraction": self._validation_fraction,
            "snr_gamma": self._snr_gamma,
            "mixed_precision": self._precision,
        }


if __name__ == "__main__":
    execute(FineTune)
