"""Read an export of layout ai-toolkit with the dataset of ai-toolkit, but for the model's part."""

from collections.abc import Iterator
from unittest.mock import MagicMock

from toolkit.config import get_config
from toolkit.config_modules import DatasetConfig, preprocess_dataset_raw_config
from toolkit.data_loader import AiToolkitDataset


def pairs() -> Iterator[tuple[str, str, str]]:
    """Yield (split, file, caption) of all pairs, from the folder that the process is in."""
    process = get_config("config.yaml")["config"]["process"][0]
    model = MagicMock(
        is_audio_model=False, vae=None
    )  # tells the dataset which latents it will make
    model.get_bucket_divisibility.return_value = 8
    for raw in preprocess_dataset_raw_config(process["datasets"]):
        raw["cache_latents_to_disk"] = False
        raw["caption_dropout_rate"] = 0.0
        dataset = AiToolkitDataset(DatasetConfig(**raw), sd=model)
        for item in dataset.file_list:
            item.load_caption(dataset.caption_dict)
            yield "train", item.path, item.raw_caption
