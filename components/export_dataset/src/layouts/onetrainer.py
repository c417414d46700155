"""`onetrainer`: each image with a `.txt` of the same stem, `concepts.json` and `config.json`.

The trainer picks one line of a text each time, and skips images whose names end in `-masklabel` or
`-condlabel`: the former are masks. For class images, the model is trained to predict what it
predicted before. Repeats are the `balancing` of a concept, which is a folder. `config.json` is
applied on top of one of the trainer's presets.
"""

import json
from collections.abc import Iterator
from typing import Any

from layout import Layout
from pair_texts import one_line
from PIL import Image
from read_pairs import ReadPair, image_files
from repeats import Part
from training_pairs import Pair

from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION

_SUFFIXES = frozenset({".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif"})
_LABELS = ("-masklabel", "-condlabel")
_MASK = "-masklabel.png"
_TYPES = {TRAIN: "STANDARD", VALIDATION: "VALIDATION", REGULARIZATION: "PRIOR_PREDICTION"}
_PRESETS = {
    "sd15": "SD1.5/#sd 1.5 LoRA.json",
    "sdxl": "SDXL/#sdxl 1.0 LoRA.json",
    "flux": "Flux Dev.1/#flux LoRA.json",
}
_CONCEPT_VERSION = 2


class OneTrainerLayout(Layout):
    """The input of OneTrainer with a concepts file."""

    takes_several = True
    masked_splits = (TRAIN, VALIDATION)  # class images have none
    divides = True

    def text(self, caption: str) -> str:
        """Return a caption as one line."""
        return one_line(caption)

    def write(self, pair: Pair) -> None:
        """Write the image, its captions beside it, one per line, and the mask."""
        self.write_beside(pair, ".txt", "\n".join(self.captions[pair.split, pair.stem]))
        self.write_mask(pair, self.place_of(pair) + _MASK)

    def close(self) -> None:
        """Write the concepts and the configuration."""
        concepts = [_concept(self.folder_of(part), part) for part in self.parts]
        config = {
            "concept_file_name": "concepts.json",
            "workspace_dir": "workspace",
            "cache_dir": "cache",
            "output_model_destination": "output/lora.safetensors",
            "resolution": str(self.resolution),
            "validation": self.validates,
            "masked_training": bool(self.masks),
            "batch_size": 1,
            "epochs": 10,
        }
        self.folder.write_json("concepts.json", concepts)
        self.folder.write_json("config.json", config)

    def usage(self) -> str:
        """Return the command that trains a LoRA."""
        return f"""\
A LoRA for {self.model.name} with OneTrainer, by its own preset; `$ONETRAINER` is its checkout:

    {self.enter}
    python "$ONETRAINER"/scripts/train.py \\
      --preset-path "$ONETRAINER/training_presets/{_PRESETS[self.model.key]}" \\
      --config-path config.json

Its window loads `concepts.json` in the tab of concepts, if it was started in this folder.
"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, by the rules of the trainer, from `concepts.json`."""
        config = json.loads((self.folder.path / "config.json").read_text(encoding="utf-8"))
        listing = self.folder.path / config["concept_file_name"]
        splits = {kind: split for split, kind in _TYPES.items()}
        for concept in json.loads(listing.read_text(encoding="utf-8")):
            split = splits[concept["type"]]
            for path in image_files(self.folder.path / concept["path"], _SUFFIXES):
                if path.stem.endswith(_LABELS):
                    continue
                text = path.with_suffix(".txt").read_text(encoding="utf-8")
                lines = [line.strip() for line in text.split("\n") if line.strip()]
                mask = path.with_name(f"{path.stem}{_MASK}")
                masked = config["masked_training"] and mask.exists()
                with Image.open(path) as image:
                    found = Image.open(mask) if masked else None
                    repeats = concept["balancing"]
                    yield ReadPair(split, path.stem, tuple(lines), image, found, repeats)


def _concept(folder: str, part: Part) -> dict[str, Any]:
    return {
        "__version": _CONCEPT_VERSION,
        "name": folder,
        "path": folder,
        "enabled": True,
        "type": _TYPES[part.split],
        "include_subdirectories": False,
        "balancing": float(part.repeats),
        "balancing_strategy": "REPEATS",
        "text": {"prompt_source": "sample"},
    }
