"""Read an export of layout musubi-tuner with the dataset classes of musubi-tuner."""

import argparse
from collections.abc import Iterator

from musubi_tuner.dataset import config_utils


def pairs() -> Iterator[tuple[str, str, list[str], bool]]:
    """Yield (split, file, captions, masked) of all pairs, from the folder the process is in."""
    generator = config_utils.BlueprintGenerator(config_utils.ConfigSanitizer())
    blueprint = generator.generate(
        config_utils.load_user_config("dataset.toml"), argparse.Namespace(), architecture="f2d"
    )
    group = config_utils.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for split, dataset in zip(("train", "regularization"), group.datasets, strict=False):
        for fetch in dataset.datasource:
            path, _, caption, _ = fetch()
            yield split, path, [caption], False
