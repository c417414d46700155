"""`everydream2`: each image with a `.yaml` of the same stem, and `train.json`.

Of a `.txt` the trainer makes a prompt and tags, divided at commas, and drops tags that come twice;
of a YAML it takes `main_prompt` as it is. It walks through all folders below the one it is given.
"""

import json
import re
from collections.abc import Iterator

import yaml
from layout import Layout, ReadPair, image_files
from PIL import Image
from training_pairs import TRAIN, VALIDATION, Pair

_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".jfif"})


class EveryDream2Layout(Layout):
    """What EveryDream2's `train.py` reads with `--config train.json`."""

    base_models = ("sd15",)

    def write(self, pair: Pair) -> None:
        """Write the image, and the caption beside it."""
        # Line ends of Unicode come back as spaces where they are not spelled out.
        plain = not _LINE_ENDS.search(pair.caption)
        text = yaml.safe_dump({"main_prompt": pair.caption}, allow_unicode=plain, width=2**16)
        self.write_beside(pair, ".yaml", text)

    def close(self) -> None:
        """Write the configuration, and that of the validation."""
        config = {
            "data_root": TRAIN,
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
        self._write_json("train.json", config)
        if self.validates:
            validation = {
                "validate_training": True,
                "val_split_mode": "manual",
                "manual_data_root": VALIDATION,
                "every_n_epochs": 1,
                "seed": 555,
            }
            self._write_json("validation.json", validation)

    def _write_json(self, name: str, content: object) -> None:
        self.folder.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def usage(self) -> str:
        """Return the command that trains the model."""
        held_out = f"Given this folder instead of `{TRAIN}`, it would train on `{VALIDATION}`, too."
        return f"""\
All of {self.model.name} with EveryDream2; `$EVERYDREAM2` is its checkout:

    {self.enter}
    python "$EVERYDREAM2"/train.py --config train.json \\
      --optimizer_config "$EVERYDREAM2"/optimizer.json \\
      --sample_prompts "$EVERYDREAM2"/sample_prompts.txt

{held_out}
"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, by the rules of the trainer, from `train.json`."""
        config = json.loads((self.folder.path / "train.json").read_text(encoding="utf-8"))
        folders = {TRAIN: config["data_root"]}
        if config["validation_config"]:
            file = self.folder.path / config["validation_config"]
            folders[VALIDATION] = json.loads(file.read_text())["manual_data_root"]
        for split, name in folders.items():
            for path in image_files(self.folder.path / name, _SUFFIXES):
                content = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
                with Image.open(path) as image:
                    yield ReadPair(split, path.stem, content["main_prompt"], image)
