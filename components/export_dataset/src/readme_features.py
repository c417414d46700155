"""The front matter of a README for `datasets`: files, and types of columns."""

from collections.abc import Mapping
from typing import Any

import datasets
from huggingface_hub import DatasetCardData


def told_files(config: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the front matter for the files of a configuration: a pattern for each split."""
    listed = [{"split": split, "path": pattern} for split, pattern in files.items()]
    return {"configs": [{"config_name": config, "data_files": listed}]}


def told_features(config: str, features: datasets.Features) -> dict[str, Any]:
    """Return the front matter for the features of a configuration."""
    info = datasets.DatasetInfo(features=features, config_name=config)
    data = DatasetCardData()
    datasets.info.DatasetInfosDict({config: info}).to_dataset_card_data(data)
    return {"dataset_info": data["dataset_info"]}
