"""`ai-toolkit`: each image with a `.txt` of the same stem, and the job in `config.yaml`.

The trainer uses a text verbatim, including a trailing newline, and every image at any depth below
the folder. It has problems with WebP, according to its documentation. It trains on class images in
every other step. Repeats are set per dataset, and each dataset is a folder.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from layout import Layout
from pair_texts import one_line
from PIL import Image
from read_pairs import ReadPair, image_files
from repeats import Part
from training_pairs import Pair

from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION

_MASKS = "masks"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_MODELS: dict[str, dict[str, Any]] = {
    "sd15": {"arch": "sd1"},
    "sdxl": {"arch": "sdxl"},
    "flux": {"arch": "flux", "quantize": True},
}


class AiToolkitLayout(Layout):
    """The input of ai-toolkit's `run.py`, given `config.yaml`."""

    image_kinds = frozenset({"JPEG", "PNG"})

    masked_splits = (TRAIN, VALIDATION)  # class images have none
    divides = True

    def text(self, caption: str) -> str:
        """Return the caption as one line."""
        return one_line(caption)

    def write(self, pair: Pair) -> None:
        """Write the image, the caption beside it, and the mask to a folder of masks."""
        (caption,) = self.captions[pair.split, pair.stem]
        self.write_beside(pair, ".txt", caption)
        self.write_mask(pair, f"{_MASKS}/{self.place_of(pair)}.png")

    def close(self) -> None:
        """Write the job configuration."""
        process = {
            "type": "sd_trainer",
            "training_folder": "output",
            "device": "cuda:0",
            "network": {"type": "lora", "linear": 16, "linear_alpha": 16},
            "save": {"dtype": "float16", "save_every": 250, "max_step_saves_to_keep": 4},
            "datasets": [self._dataset(part) for part in self.parts if part.split != VALIDATION],
            "train": self._training(),
            "model": {"name_or_path": self.model.hub_id, **_MODELS[self.model.key]},
            "sample": self._samples(),
        }
        job = {"job": "extension", "config": {"name": "lora", "process": [process]}}
        text = "# Folders are taken from where ai-toolkit is started: start it here.\n"
        text += yaml.safe_dump(job, sort_keys=False)
        self.folder.write("config.yaml", text.encode())

    def _dataset(self, part: Part) -> dict[str, Any]:
        folder, masks = self.folder_of(part), {}
        if self.masks:
            masks = {"mask_path": f"{_MASKS}/{folder}", "mask_min_value": 0.1}
        return {
            "folder_path": folder,
            "num_repeats": part.repeats,
            "caption_ext": "txt",
            "caption_dropout_rate": 0.05,
            "cache_latents_to_disk": True,
            "resolution": [self.resolution],
            **({"is_reg": True} if part.split == REGULARIZATION else masks),
        }

    @property
    def _scheduler(self) -> str:
        return "flowmatch" if self.model.key == "flux" else "ddpm"

    def _training(self) -> dict[str, Any]:
        return {
            "batch_size": 1,
            "steps": 2000,
            "gradient_accumulation_steps": 1,
            "train_unet": True,
            "train_text_encoder": False,
            "gradient_checkpointing": True,
            "noise_scheduler": self._scheduler,
            "optimizer": "adamw8bit",
            "lr": 0.0001,
            "dtype": "bf16",
        }

    def _samples(self) -> dict[str, Any]:
        return {
            "sampler": self._scheduler,
            "sample_every": 250,
            "width": self.resolution,
            "height": self.resolution,
            "prompts": ["a photo"],
            "seed": 42,
            "guidance_scale": 4 if self.model.key == "flux" else 7,
            "sample_steps": 20,
        }

    def usage(self) -> str:
        """Return the command that trains a LoRA."""
        held_out = (
            f"It trains on `{TRAIN}` alone: given this folder, it would train on the images in "
            f"`{VALIDATION}`, too, for it has no validation.\n"
        )
        return f"""\
A LoRA for {self.model.name} with ai-toolkit; `$AI_TOOLKIT` is its checkout:

    {self.enter}
    python "$AI_TOOLKIT"/run.py config.yaml

{held_out if self.validates else ""}"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs: for training by `config.yaml`, and for validation, which it omits."""
        content = yaml.safe_load((self.folder.path / "config.yaml").read_text(encoding="utf-8"))
        datasets = content["config"]["process"][0]["datasets"]
        for dataset in datasets:
            yield from self._pairs(REGULARIZATION if dataset.get("is_reg") else TRAIN, dataset)
        if self.validates:
            held_out = {**datasets[0], "folder_path": VALIDATION, "num_repeats": 1}
            if self.masks:
                held_out["mask_path"] = f"{_MASKS}/{VALIDATION}"
            yield from self._pairs(VALIDATION, held_out)

    def _pairs(self, split: str, dataset: Mapping[str, Any]) -> Iterator[ReadPair]:
        root = self.folder.path
        for path in image_files(root / dataset["folder_path"], _SUFFIXES):
            if path.suffix == ".webp":
                msg = f"{split}/{path.name} is a WebP, with which ai-toolkit has trouble"
                raise ValueError(msg)
            text = path.with_suffix(f".{dataset['caption_ext']}").read_text(encoding="utf-8")
            masks = dataset.get("mask_path")
            mask = Image.open(root / masks / f"{path.stem}.png") if masks else None
            with Image.open(path) as image:
                repeats = dataset["num_repeats"]
                yield ReadPair(split, path.stem, (text,), image, mask, repeats)
