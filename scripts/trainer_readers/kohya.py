"""Reads an export of layout kohya with the dataset classes of sd-scripts."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from library import config_util


def pairs() -> Iterator[tuple[str, str, list[str], bool, int]]:
    """Yield (split, file, captions, masked, repeats) for all pairs in the working directory."""
    sanitizer = config_util.ConfigSanitizer(
        support_dreambooth=True,
        support_finetuning=True,
        support_controlnet=True,
        support_dropout=True,
    )
    blueprint = config_util.BlueprintGenerator(sanitizer).generate(
        config_util.load_user_config("dataset.toml"), argparse.Namespace()
    )
    groups = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for split, group in zip(("train", "validation"), groups, strict=True):
        for dataset in group.datasets if group else []:
            yield from _read(split, getattr(dataset, "dreambooth_dataset_delegate", dataset))


def _read(split: str, dataset: object) -> Iterator[tuple[str, str, list[str], bool, int]]:
    """Yield the pairs of a dataset, with each line of a caption as the trainer would pick it."""
    for info in dataset.image_data.values():
        subset = dataset.image_to_subset[info.image_key]
        captions = [dataset.process_caption(subset, line) for line in info.caption.split("\n")]
        of_class = info.is_reg or "regularization" in Path(info.absolute_path).parts
        masked = getattr(info, "cond_img_path", None) is not None
        # It repeats regularisation images by itself, to match the number of the others.
        repeats = subset.num_repeats if info.is_reg else info.num_repeats
        place = "regularization" if of_class else split
        yield place, info.absolute_path, captions, masked, repeats
