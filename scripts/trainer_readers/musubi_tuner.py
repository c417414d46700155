"""Reads an export of layout musubi-tuner with the dataset classes of musubi-tuner."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from musubi_tuner.dataset import config_utils


def pairs() -> Iterator[tuple[str, str, list[str], bool, int]]:
    """Yield (split, file, captions, masked, repeats) for all pairs in the working directory."""
    generator = config_utils.BlueprintGenerator(config_utils.ConfigSanitizer())
    blueprint = generator.generate(
        config_utils.load_user_config("dataset.toml"), argparse.Namespace(), architecture="f2d"
    )
    group = config_utils.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for dataset in group.datasets:
        for fetch in dataset.datasource:
            path, _, caption, _ = fetch()
            yield Path(path).parts[0], path, [caption], False, dataset.num_repeats
