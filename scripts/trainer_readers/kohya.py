"""Read an export of layout kohya with the dataset classes of sd-scripts."""

import argparse
from collections.abc import Iterator

from library import config_util


def pairs() -> Iterator[tuple[str, str, str]]:
    """Yield (split, file, caption) of all pairs, from the folder that the process is in."""
    sanitizer = config_util.ConfigSanitizer(
        support_dreambooth=True,
        support_finetuning=True,
        support_controlnet=False,
        support_dropout=True,
    )
    blueprint = config_util.BlueprintGenerator(sanitizer).generate(
        config_util.load_user_config("dataset.toml"), argparse.Namespace()
    )
    groups = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for split, group in zip(("train", "validation"), groups, strict=True):
        for dataset in group.datasets if group else []:
            for info in dataset.image_data.values():
                yield split, info.absolute_path, info.caption
