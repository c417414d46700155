"""The published folder: the model, its record, its card, and the curves for TensorBoard."""

import shutil
from typing import Final

from lora_files import write_lora
from loss_events import write_events
from model_card import model_card
from training_record import TrainingRecord
from tuned_pipeline import write_pipeline
from tuned_weights import TunedWeights
from tuning_settings import LORA

from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.training_folder import TRAINING

CARD: Final = "README.md"
_LOGS: Final = "logs"


def write_folder(folder: HashedFolder, record: TrainingRecord, weights: TunedWeights) -> None:
    """Write all files of a finished training."""
    with weights.best() as unet:
        if record.arguments["method"] == LORA:
            rank = record.arguments["rank"]
            names = write_lora(record.base, unet, rank, folder.path)
        else:
            names = write_pipeline(record.base, unet, folder.path)
    folder.write_json(TRAINING, record.to_json())
    folder.write(CARD, model_card(record).encode())
    write_events(folder.path / _LOGS, record.curve)
    logs = [f"{_LOGS}/{file.name}" for file in (folder.path / _LOGS).iterdir()]
    for name in (*names, *logs):
        # Safetensors makes its files readable by the owner only.
        shutil.copymode(folder.path / TRAINING, folder.path / name)
        folder.enter(name)
