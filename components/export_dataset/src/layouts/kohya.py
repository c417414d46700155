"""`kohya`: each image with a `.txt` of the same stem, and `dataset.toml`; for kohya's sd-scripts.

A `[[datasets]]` entry with `validation_split = 1.0` is used for validation only. Images are in
folders like `1_images`, repeats and name, as the trainer without a configuration file and its
graphical interface expect. Class images are repeated by the trainer itself until they are as many
as the others. It ignores the orientation in EXIF.

With `enable_wildcard`, it picks one line of a text each time, and one option of `{many|few}` in it:
literal braces are then doubled. `metadata.json` has the same content, with tags separate, for the
scripts that train from metadata.
"""

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layout import ExportSettings, Layout
from pair_texts import SEPARATOR, one_line
from PIL import Image
from read_pairs import ReadPair, image_files
from repeats import Part
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.base_models import BaseModel
from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION

_MASKS = "masks"
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_WILDCARD = re.compile(r"\{[^}]+\}")
_HEAD = """\
# Folders are taken from where sd-scripts is started: start it here.
[general]
caption_extension = ".txt"
enable_bucket = true
bucket_no_upscale = true
"""
_FLUX = """\
--clip_l "$MODELS"/clip_l.safetensors --t5xxl "$MODELS"/t5xxl_fp16.safetensors \\
      --ae "$MODELS"/ae.safetensors --network_module networks.lora_flux \\
      --network_dim 16 --network_alpha 16 --guidance_scale 1.0 \\
      --timestep_sampling flux_shift --model_prediction_type raw"""
_LORA = "--network_module networks.lora --network_dim 32 --network_alpha 16 --max_token_length 225"
_SCRIPTS = {
    "sd15": ("train_network.py", _LORA),
    "sdxl": ("sdxl_train_network.py", _LORA),
    "flux": ("flux_train_network.py", _FLUX),
}


class KohyaLayout(Layout):
    """The input of kohya's sd-scripts with `--dataset_config dataset.toml`."""

    takes_several = True
    masked_splits = (TRAIN,)  # with masks, the trainer does not validate

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._metadata: defaultdict[Part, dict[str, Any]] = defaultdict(dict)
        self._wildcards = settings.several_captions

    @classmethod
    def most_tokens(cls, model: BaseModel) -> int:
        """Return 225 for CLIP, as set by the command: captions are read in three chunks."""
        return 225 if model.encoder == "CLIP" else model.most_tokens

    def folder_of(self, part: Part) -> str:
        """Return the folder of a part, whose name contains its repeats."""
        return f"{part.split}/{part.repeats}_images"

    def text(self, caption: str) -> str:
        """Return a caption as one line."""
        return one_line(caption)

    def write(self, pair: Pair) -> None:
        """Write the image, its captions beside it, one per line, and the mask."""
        texts = self.captions[pair.split, pair.stem]
        self.write_beside(pair, ".txt", "\n".join(map(self._escaped, texts)))
        self.write_mask(pair, f"{_MASKS}/{pair.split}/{pair.stem}.png")
        if pair.split == TRAIN:
            lines = [self._escaped(one_line(caption)) for caption in pair.texts.captions]
            entry: dict[str, Any] = {"caption": "\n".join(lines)}
            if pair.texts.tags:
                entry["tags"] = self._escaped(SEPARATOR.join(tag.text for tag in pair.texts.tags))
            entry["image_size"] = [pair.width, pair.height]
            self._metadata[pair.part][pair.stem + pair.suffix] = entry

    def _escaped(self, line: str) -> str:
        return line.replace("{", "{{").replace("}", "}}") if self._wildcards else line

    def close(self) -> None:
        """Write the configuration of all splits, and that of the metadata."""
        head = _HEAD + "enable_wildcard = true\n" * self._wildcards
        content = head + "".join(map(self._dataset, self._trained))
        self.folder.write("dataset.toml", content.encode())
        content = head.replace('caption_extension = ".txt"\n', "") + self._sized()
        content += "".join(self._listed(part) for part in self.parts if part.split == TRAIN)
        self.folder.write("metadata.toml", content.encode())

    def _listed(self, part: Part) -> str:
        """Write the metadata of a part, and return the subset that refers to it."""
        name = "metadata.json" if part.repeats == 1 else f"metadata_{part.repeats}.json"
        told = (f"{_json(name)}: {_json(entry)}" for name, entry in self._metadata[part].items())
        self.folder.write(name, ("{\n" + ",\n".join(told) + "\n}\n").encode())
        return self._subset(part, f'metadata_file = "{name}"')

    @property
    def _trained(self) -> list[str]:
        """The splits with a dataset of their own.

        Class images are a subset of the training images' dataset, which is impossible if these have
        masks.
        """
        apart = [split for split in self.splits if split != REGULARIZATION]
        return self.splits if self.masks else apart

    def _dataset(self, split: str) -> str:
        lines = self._sized(*["validation_split = 1.0"] * (split == VALIDATION))
        masks = (
            [f'conditioning_data_dir = "{_MASKS}/{split}"'] if split == TRAIN and self.masks else []
        )
        lines += "".join(self._subset(part, *masks) for part in self.parts if part.split == split)
        if split == TRAIN and self.regularizes and not self.masks:
            lines += self._subset(Part(REGULARIZATION, 1), "is_reg = true")
        return lines

    def _subset(self, part: Part, *more: str) -> str:
        lines = (f'image_dir = "{self.folder_of(part)}"', f"num_repeats = {part.repeats}")
        return "\n".join(["", "[[datasets.subsets]]", *lines, *more, ""])

    def _sized(self, *more: str) -> str:
        lines = (
            f"resolution = {self.resolution}",
            f"max_bucket_reso = {2 * self.resolution}",
            "batch_size = 1",
        )
        return "\n".join(["", "[[datasets]]", *lines, *more, ""])

    def usage(self) -> str:
        """Return the command that trains a LoRA."""
        script, options = _SCRIPTS[self.model.key]
        model, models = self.model.hub_id, ""
        if self.model.key == "flux":
            model = '"$MODELS"/flux1-dev.safetensors'
            models = " and `$MODELS` the folder with the model's files"
        masked = " --masked_loss" * bool(self.masks)
        return f"""\
A LoRA for {self.model.name} with sd-scripts; `$SD_SCRIPTS` is its checkout{models}:

    {self.enter}
    accelerate launch "$SD_SCRIPTS"/{script} --dataset_config dataset.toml \\
      --pretrained_model_name_or_path {model} \\
      {options}{masked} \\
      --learning_rate 1e-4 --optimizer_type AdamW8bit --lr_scheduler constant --sdpa \\
      --mixed_precision bf16 --gradient_checkpointing --cache_latents \\
      --max_train_epochs 10 --save_every_n_epochs 1 --save_model_as safetensors \\
      --output_dir output --output_name lora

In the graphical interface, kohya_ss, the image folder is `train`{self._of_class()}. Tags stand
behind each caption; for scripts that train from metadata, `metadata.toml` leads to the same
captions with the tags by themselves.
"""

    def _of_class(self) -> str:
        if not self.regularizes:
            return ""
        return f", and that of the regularisation images is `{REGULARIZATION}`"

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, by the rules of the trainer, from `dataset.toml`."""
        config = tomllib.loads((self.folder.path / "dataset.toml").read_text(encoding="utf-8"))
        for dataset in config["datasets"]:
            held_out = dataset.get("validation_split") == 1.0
            for subset in dataset["subsets"]:
                split = VALIDATION if held_out else _split_of(subset)
                for image in image_files(self.folder.path / subset["image_dir"], _SUFFIXES):
                    yield self._pair(split, image, subset, config["general"])
        self._check_metadata()

    def _pair(
        self,
        split: str,
        path: Path,
        subset: Mapping[str, Any],
        general: Mapping[str, Any],
    ) -> ReadPair:
        text = path.with_suffix(general["caption_extension"]).read_text(encoding="utf-8")
        lines = [line.strip() for line in text.split("\n")]
        several = general.get("enable_wildcard", False)
        captions = [_drawn(line) for line in lines if line] if several else lines[:1]
        masks = subset.get("conditioning_data_dir")
        with Image.open(path) as opened:
            opened.load()
            mask = masks and Image.open(self.folder.path / masks / f"{path.stem}.png")
            repeats = subset["num_repeats"]
            return ReadPair(split, path.stem, tuple(captions), opened, mask, repeats)

    def _check_metadata(self) -> None:
        """Compare the metadata with the captions of the training split.

        Raises:
            ValueError: the captions of an image differ.
        """
        config = tomllib.loads((self.folder.path / "metadata.toml").read_text(encoding="utf-8"))
        for subset in config["datasets"][0]["subsets"]:
            self._check_listed(subset)

    def _check_listed(self, subset: Mapping[str, Any]) -> None:
        told = json.loads((self.folder.path / subset["metadata_file"]).read_text(encoding="utf-8"))
        for name, entry in told.items():
            path = self.folder.path / subset["image_dir"] / name
            if subset["num_repeats"] != self.repeats.get((TRAIN, path.stem), 1):
                msg = f"metadata.toml has {name} repeated {subset['num_repeats']} times"
                raise ValueError(msg)
            lines = entry["caption"].split("\n")
            if "tags" in entry:
                lines = [f"{line}{SEPARATOR}{entry['tags']}" for line in lines]
            if path.with_suffix(".txt").read_text(encoding="utf-8").split("\n") != lines:
                msg = f"{subset['metadata_file']} has other captions of {name} than its text"
                raise ValueError(msg)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _split_of(subset: Mapping[str, Any]) -> str:
    """Return the split of a subset: that of class images, if it is marked as such."""
    of_class = subset["image_dir"].startswith(f"{REGULARIZATION}/")
    return REGULARIZATION if subset.get("is_reg") or of_class else TRAIN


def _drawn(line: str) -> str:
    """Return the text that the trainer makes of a line with `enable_wildcard`.

    Raises:
        ValueError: it would pick one of several words.
    """
    plain = line.replace("{{", "").replace("}}", "")
    if _WILDCARD.search(plain):
        msg = f"{line!r} is changed by enable_wildcard"
        raise ValueError(msg)
    return line.replace("{{", "{").replace("}}", "}")
