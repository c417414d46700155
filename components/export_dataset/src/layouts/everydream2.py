"""`everydream2`: each image with a `.yaml` of the same stem, and `train.json`.

Of a `.txt` the trainer makes a prompt and tags, divided at commas, and drops tags that come twice;
of a YAML it takes `main_prompt` as it is, and `tags` by themselves. It shuffles tags by their
weights if `local.yaml` has it shuffle them at all. It repeats an image as its `multiply` says. It
walks through all folders below those it is given, and knows no images of the class: it learns from
them as from any, a prior loss of weight 1.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from layout import ExportSettings, Layout
from pair_texts import SEPARATOR, Tag
from PIL import Image
from read_pairs import ReadPair, image_files
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION

_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".jfif"})
_CLASS = f"""
From the images of the class, in `{REGULARIZATION}`, it learns as from any.
"""


class EveryDream2Layout(Layout):
    """What EveryDream2's `train.py` reads with `--config train.json`."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._weighted: set[str] = set()

    def texts(self, pair: Pair) -> tuple[str, ...]:
        """Return one caption with its tags, those of more weight first, as the trainer has them."""
        by_weight = replace(pair.texts, tags=_by_weight(pair.texts.tags))
        return (by_weight.with_tags(pair.texts.drawn(pair.stem)),)

    def write(self, pair: Pair) -> None:
        """Write the image, and the caption and tags beside it."""
        content: dict[str, Any] = {"main_prompt": pair.texts.drawn(pair.stem)}
        if pair.texts.tags:
            content["tags"] = [_as_told(tag) for tag in pair.texts.tags]
        if pair.repeats != 1:
            content["multiply"] = pair.repeats
        if any(tag.weight != 1 for tag in pair.texts.tags):
            self._weighted.add(pair.split)
        # Line ends of Unicode come back as spaces where they are not spelled out.
        plain = not any(map(_LINE_ENDS.search, (*pair.texts.captions, *map(str, pair.texts.tags))))
        text = yaml.safe_dump(content, allow_unicode=plain, width=2**16, sort_keys=False)
        self.write_beside(pair, ".yaml", text)

    def close(self) -> None:
        """Write the configuration, that of the validation, and whether tags are shuffled."""
        for split in sorted(self._weighted):
            self.folder.write(f"{split}/local.yaml", b"shuffle_tags: true\n")
        config = {
            "data_root": [TRAIN, REGULARIZATION] if self.regularizes else TRAIN,
            "resume_ckpt": self.model.hub_id,
            "resolution": self.resolution,
            "batch_size": 4,
            "lr": 1e-6,
            "max_epochs": 30,
            "save_every_n_epochs": 10,
            "sample_steps": 300,
            "gradient_checkpointing": True,
            "cond_dropout": 0.04,
            "seed": 555,
            "project_name": "export",
            "logdir": "logs",
            "validation_config": "validation.json" if self.validates else None,
        }
        self.folder.write_json("train.json", config)
        if self.validates:
            validation = {
                "validate_training": True,
                "val_split_mode": "manual",
                "manual_data_root": VALIDATION,
                "every_n_epochs": 1,
                "seed": 555,
            }
            self.folder.write_json("validation.json", validation)

    def usage(self) -> str:
        """Return the command that trains the model."""
        held_out = f"Given this folder instead of `{TRAIN}`, it would train on `{VALIDATION}`, too."
        return f"""\
All of {self.model.name} with EveryDream2; `$EVERYDREAM2` is its checkout:

    {self.enter}
    python "$EVERYDREAM2"/train.py --config train.json \\
      --optimizer_config "$EVERYDREAM2"/optimizer.json \\
      --sample_prompts "$EVERYDREAM2"/sample_prompts.txt

{held_out}{_CLASS * self.regularizes}
"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, by the rules of the trainer, from `train.json`."""
        config = json.loads((self.folder.path / "train.json").read_text(encoding="utf-8"))
        roots = config["data_root"] if self.regularizes else [config["data_root"]]
        folders = list(zip((TRAIN, REGULARIZATION), roots, strict=False))
        if config["validation_config"]:
            file = self.folder.path / config["validation_config"]
            folders.append((VALIDATION, json.loads(file.read_text())["manual_data_root"]))
        for split, name in folders:
            for path in image_files(self.folder.path / name, _SUFFIXES):
                yield _pair(split, path)


def _pair(split: str, path: Path) -> ReadPair:
    content = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
    tags = tuple(_read(tag) for tag in content.get("tags", ()))
    parts = [content["main_prompt"], *(tag.text for tag in _by_weight(tags))]
    caption = SEPARATOR.join(parts) if tags else content["main_prompt"]
    with Image.open(path) as image:
        image.load()
        return ReadPair(split, path.stem, (caption,), image, repeats=content.get("multiply", 1))


def _as_told(tag: Tag) -> str | dict[str, Any]:
    return tag.text if tag.weight == 1 else {"tag": tag.text, "weight": tag.weight}


def _read(tag: str | dict[str, Any]) -> Tag:
    return Tag(tag) if isinstance(tag, str) else Tag(tag["tag"], tag["weight"])


def _by_weight(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    return tuple(sorted(tags, key=lambda tag: tag.weight, reverse=True))
