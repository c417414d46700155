"""`simpletuner`: images, `train.parquet` with captions and sizes, and SimpleTuner's configuration.

With sizes in the table the trainer buckets images without opening them. It looks rows up by the
image's path without the folder's, which it only cuts off where the folder is given in full: so
`instance_data_dir` is. A dataset is refused that has no backend for text embeddings beside it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hashed_folder import HashedFolder
from layout import ExportSettings, Layout, ReadPair
from PIL import Image
from training_pairs import TRAIN, VALIDATION, Pair

_FAMILIES = {"sd15": "sd1x", "sdxl": "sdxl", "flux": "flux"}
_BACKENDS = "config/multidatabackend.json"
_COLUMNS = pa.schema(
    {"filename": pa.string(), "caption": pa.string(), "width": pa.int32(), "height": pa.int32()}
)


class SimpleTunerLayout(Layout):
    """What `simpletuner train` reads, started in the folder."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def caption(self, pair: Pair) -> str:
        """Return the caption without space around it, which the trainer takes off."""
        return pair.caption.strip()

    def write(self, pair: Pair) -> None:
        """Write the image, and keep the row that names it."""
        name = pair.stem + pair.suffix
        self.folder.write_shared(f"{pair.split}/{name}", pair.image)
        self._rows[pair.split].append(
            {
                "filename": name,
                "caption": self.caption(pair),
                "width": pair.width,
                "height": pair.height,
            }
        )

    def close(self) -> None:
        """Write the tables and the configuration."""
        for split, rows in self._rows.items():
            file = self.folder.create(f"{split}.parquet")
            pq.write_table(pa.Table.from_pylist(rows, _COLUMNS), file)
            file.close()
        backends = [self._backend(split) for split in (TRAIN, VALIDATION) if self.counts[split]]
        texts = {
            "id": "text-embeds",
            "dataset_type": "text_embeds",
            "type": "local",
            "default": True,
            "cache_dir": "cache/text",
        }
        self._write_json(_BACKENDS, [*backends, texts])
        self._write_json("config/config.json", self._config())

    def _write_json(self, name: str, content: Any) -> None:
        self.folder.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def _backend(self, split: str) -> dict[str, Any]:
        return {
            "id": split,
            "type": "local",
            "dataset_type": "image" if split == TRAIN else "eval",
            "instance_data_dir": str(Path(self.settings.place) / split),
            "caption_strategy": "parquet",
            "metadata_backend": "parquet",
            "parquet": {
                "path": f"{split}.parquet",
                "filename_column": "filename",
                "caption_column": "caption",
                "width_column": "width",
                "height_column": "height",
                "identifier_includes_extension": True,
            },
            "resolution": self.resolution**2 / 1e6,
            "resolution_type": "area",  # in megapixels
            "crop": False,
            "repeats": 0,
            "cache_dir_vae": f"cache/vae/{split}",
        }

    def _config(self) -> dict[str, Any]:
        return {
            "data_backend_config": _BACKENDS,
            "model_family": _FAMILIES[self.model.key],
            "model_type": "lora",
            "pretrained_model_name_or_path": self.model.hub_id,
            "lora_type": "standard",
            "lora_rank": 16,
            "resolution": self.resolution,
            "resolution_type": "pixel_area",
            "aspect_bucket_rounding": 2,
            "disable_bucket_pruning": True,
            "train_batch_size": 1,
            "max_train_steps": 2000,
            "num_train_epochs": 0,
            "learning_rate": 1e-4,
            "lr_scheduler": "constant",
            "optimizer": "adamw_bf16",
            "mixed_precision": "bf16",
            "gradient_checkpointing": True,
            "caption_dropout_probability": 0.1,
            "checkpoint_step_interval": 500,
            "validation_prompt": "a photo",
            "validation_resolution": f"{self.resolution}x{self.resolution}",
            "seed": 42,
            "output_dir": "output",
            "report_to": "none",
        }

    def usage(self) -> str:
        """Return the command that trains a LoRA."""
        return f"""\
A LoRA for {self.model.name} with SimpleTuner:

    {self.enter}
    simpletuner train

`{_BACKENDS}` names this folder by its full path, which SimpleTuner needs to find the
captions: where the folder was moved or copied, put the new one there as `instance_data_dir`.
"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, by the rules of the trainer, from its configuration.

        Raises:
            ValueError: there is no backend for text embeddings, or a row is wrong.
        """
        config = json.loads((self.folder.path / "config/config.json").read_text(encoding="utf-8"))
        backends = json.loads(
            (self.folder.path / config["data_backend_config"]).read_text(encoding="utf-8")
        )
        if not any(backend["dataset_type"] == "text_embeds" for backend in backends):
            msg = "there is no backend for text embeddings"
            raise ValueError(msg)
        for backend in backends:
            if backend["dataset_type"] != "text_embeds":
                yield from self._pairs(backend)

    def _pairs(self, backend: dict[str, Any]) -> Iterator[ReadPair]:
        """Yield the pairs of a backend, looked up by the images that are there."""
        split = TRAIN if backend["dataset_type"] == "image" else VALIDATION
        images = self.folder.path / Path(backend["instance_data_dir"]).name
        names = backend["parquet"]
        table = pq.read_table(self.folder.path / names["path"])
        rows = {row[names["filename_column"]]: row for row in table.to_pylist()}
        for path in sorted(images.iterdir()):
            row = rows.get(path.name)
            if row is None:
                continue  # the trainer passes an image without a row by
            with Image.open(path) as image:
                size = row[names["width_column"]], row[names["height_column"]]
                if size != image.size:
                    msg = f"{split}/{path.name} is {image.size}, not {size}, in pixels"
                    raise ValueError(msg)
                yield ReadPair(split, path.stem, row[names["caption_column"]].strip(), image)
