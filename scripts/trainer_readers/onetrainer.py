"""Read an export of layout onetrainer with the concepts of OneTrainer and the modules of mgds."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from mgds.MGDS import MGDS
from mgds.OutputPipelineModule import OutputPipelineModule
from mgds.pipelineModules.CollectPaths import CollectPaths
from mgds.pipelineModules.LoadImage import LoadImage
from mgds.pipelineModules.LoadMultipleTexts import LoadMultipleTexts
from mgds.pipelineModules.ModifyPath import ModifyPath
from modules.util import path_util
from modules.util.config.ConceptConfig import ConceptConfig
from modules.util.enum.ConceptType import ConceptType


def pairs() -> Iterator[tuple[str, str, str]]:
    """Yield (split, file, caption) of all pairs, from the folder that the process is in."""
    config = json.loads(Path("config.json").read_text(encoding="utf-8"))
    listing = json.loads(Path(config["concept_file_name"]).read_text(encoding="utf-8"))
    concepts = [ConceptConfig.default_values().from_dict(concept) for concept in listing]
    for split, kind in (("train", ConceptType.STANDARD), ("validation", ConceptType.VALIDATION)):
        chosen = [concept.to_dict() for concept in concepts if concept.type == kind]
        if chosen:
            for path, captions in _read(chosen):
                yield split, path, "\n".join(captions)


def _read(concepts: list[dict]) -> Iterator[tuple[str, list[str]]]:
    extensions = path_util.supported_image_extensions()
    modules = [
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
        LoadMultipleTexts(path_in_name="sample_prompt_path", texts_out_name="prompts"),
        OutputPipelineModule(names=["image_path", "image", "prompts"]),
    ]
    reader = MGDS(torch.device("cpu"), concepts, {}, [modules], 1, 0)
    reader.start_next_epoch()
    for item in reader:
        yield item["image_path"], item["prompts"]
