"""The types of columns, as the front matter of a README tells them to `datasets`."""

from typing import Any

import datasets
from huggingface_hub import DatasetCardData


def told_features(config: str, features: datasets.Features) -> dict[str, Any]:
    """Return the front matter that tells the features of a configuration."""
    info = datasets.DatasetInfo(features=features, config_name=config)
    data = DatasetCardData()
    datasets.info.DatasetInfosDict({config: info}).to_dataset_card_data(data)
    return {"dataset_info": data["dataset_info"]}
