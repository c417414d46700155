"""Reads an export of layout onetrainer with the concepts of OneTrainer and the modules of mgds."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from mgds.MGDS import MGDS
from mgds.OutputPipelineModule import OutputPipelineModule
from mgds.pipelineModules.CollectPaths import CollectPaths
from mgds.pipelineModules.LoadImage import LoadImage
from mgds.pipelineModules.LoadMultipleTexts import LoadMultipleTexts
from mgds.pipelineModules.ModifyPath import ModifyPath
from mgds.pipelineModules.VariationSorting import VariationSorting
from modules.util import path_util
from modules.util.config.ConceptConfig import ConceptConfig
from modules.util.enum.ConceptType import ConceptType

KINDS = {
    "train": ConceptType.STANDARD,
    "validation": ConceptType.VALIDATION,
    "regularization": ConceptType.PRIOR_PREDICTION,
}


def pairs() -> Iterator[tuple[str, str, list[str], bool, int]]:
    """Yield (split, file, captions, masked, repeats) for all pairs in the working directory."""
    config = json.loads(Path("config.json").read_text(encoding="utf-8"))
    listing = json.loads(Path(config["concept_file_name"]).read_text(encoding="utf-8"))
    concepts = [ConceptConfig.default_values().from_dict(concept) for concept in listing]
    for split, kind in KINDS.items():
        chosen = [concept.to_dict() for concept in concepts if concept.type == kind]
        if chosen:
            read = list(_read(chosen))
            seen = Counter(path for path, _, _ in read)
            for path, captions, mask in {path: item for item in read for path in item[:1]}.values():
                masked = config["masked_training"] and mask is not None
                yield split, path, captions, masked, seen[path]


def _read(concepts: list[dict]) -> Iterator[tuple[str, list[str], object]]:
    """Yield (file, captions, mask or None) of the images of some concepts, repeats and all."""
    reader = MGDS(torch.device("cpu"), concepts, {}, [_modules()], 1, 0)
    reader.start_next_epoch()
    for item in reader:
        yield item["image_path"], item["prompts"], item.get("mask")


def _modules() -> list[object]:
    """Return the modules that OneTrainer has read files, captions and masks."""
    extensions = path_util.supported_image_extensions()
    return [
        CollectPaths(
            concept_in_name="concept",
            path_in_name="path",
            include_subdirectories_in_name="concept.include_subdirectories",
            enabled_in_name="enabled",
            path_out_name="image_path",
            concept_out_name="concept",
            extensions=extensions,
            include_postfix=None,
            exclude_postfix=["-masklabel", "-condlabel"],
        ),
        ModifyPath(
            in_name="image_path", out_name="sample_prompt_path", postfix="", extension=".txt"
        ),
        LoadImage(
            path_in_name="image_path",
            image_out_name="image",
            range_min=0,
            range_max=1,
            supported_extensions=extensions,
        ),
        ModifyPath(
            in_name="image_path", out_name="mask_path", postfix="-masklabel", extension=".png"
        ),
        LoadImage(
            path_in_name="mask_path",
            image_out_name="mask",
            range_min=0,
            range_max=1,
            channels=1,
            supported_extensions={".png"},
        ),
        LoadMultipleTexts(path_in_name="sample_prompt_path", texts_out_name="prompts"),
        VariationSorting(
            names=["image_path", "image", "prompts", "mask"],
            balancing_in_name="concept.balancing",
            balancing_strategy_in_name="concept.balancing_strategy",
            variations_group_in_name=["concept.path"],
            group_enabled_in_name="concept.enabled",
        ),
        OutputPipelineModule(names=["image_path", "image", "prompts", "mask"]),
    ]
