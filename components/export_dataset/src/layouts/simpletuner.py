"""`simpletuner`: images, `train.parquet` with captions and sizes, and SimpleTuner's configuration.

With sizes in the table, the trainer buckets images without opening them. It looks rows up by the
image's path relative to the folder, which works only if `instance_data_dir` is an absolute path. A
dataset without a backend for text embeddings is rejected. `repeats` are additional passes over a
dataset.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from layout import ExportSettings, Layout
from PIL import Image
from read_pairs import ReadPair
from repeats import Part
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION

_FAMILIES = {"sd15": "sd1x", "sdxl": "sdxl", "flux": "flux"}
_BACKENDS = "config/multidatabackend.json"
_MASKS = "masks"


class SimpleTunerLayout(Layout):
    """The input of `simpletuner train`, started in the folder."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._rows: dict[Part, list[dict[str, Any]]] = defaultdict(list)

    takes_several = True
    masked_splits = (TRAIN,)  # the trainer ignores others
    divides = True

    def text(self, caption: str) -> str:
        """Strip the caption, as the trainer does."""
        return caption.strip()

    def write(self, pair: Pair) -> None:
        """Write the image and the mask, and keep the row for the table."""
        name = pair.stem + pair.suffix
        captions = self.captions[pair.split, pair.stem]
        folder = self.folder_of(pair.part)
        self.folder.write_shared(f"{folder}/{name}", pair.image)
        self._rows[pair.part].append(
            {
                "filename": name,
                "caption": list(captions) if self.settings.several_captions else captions[0],
                "width": pair.width,
                "height": pair.height,
            }
        )
        if mask := self.mask(pair):  # the trainer expects the image's own name
            self.folder.write(f"{_MASKS}/{folder}/{name}", mask.as_file(pair.suffix))

    def close(self) -> None:
        """Write the tables and the configuration."""
        text = pa.list_(pa.string()) if self.settings.several_captions else pa.string()
        columns = {"filename": pa.string(), "caption": text, "width": pa.int32()}
        schema = pa.schema({**columns, "height": pa.int32()})
        for part, rows in self._rows.items():
            file = self.folder.create(f"{self.folder_of(part)}.parquet")
            pq.write_table(pa.Table.from_pylist(rows, schema), file)
            file.close()
        backends = [self._backend(part) for part in self.parts]
        backends += [self._mask_backend(part) for part in self.parts if self._is_masked(part)]
        texts = {
            "id": "text-embeds",
            "dataset_type": "text_embeds",
            "type": "local",
            "default": True,
            "cache_dir": "cache/text",
        }
        self.folder.write_json(_BACKENDS, [*backends, texts])
        self.folder.write_json("config/config.json", self._config())

    def _backend(self, part: Part) -> dict[str, Any]:
        split, folder = part.split, self.folder_of(part)
        more: dict[str, Any] = {"is_regularisation_data": True} if split == REGULARIZATION else {}
        if self._is_masked(part):
            more["conditioning_data"] = f"{_name(folder)}-masks"
        return {
            "id": _name(folder),
            "dataset_type": "eval" if split == VALIDATION else "image",
            "instance_data_dir": str(Path(self.settings.place) / folder),
            "caption_strategy": "parquet",
            "metadata_backend": "parquet",
            "parquet": {
                "path": f"{folder}.parquet",
                "filename_column": "filename",
                "caption_column": "caption",
                "width_column": "width",
                "height_column": "height",
                "identifier_includes_extension": True,
            },
            "repeats": part.repeats - 1,
            "cache_dir_vae": f"cache/vae/{folder}",
            **self._sized(),
            **more,
        }

    def _mask_backend(self, part: Part) -> dict[str, Any]:
        folder = self.folder_of(part)
        return {
            "id": f"{_name(folder)}-masks",
            "dataset_type": "conditioning",
            "conditioning_type": "mask",
            "source_dataset_id": _name(folder),
            "instance_data_dir": str(Path(self.settings.place) / _MASKS / folder),
            **self._sized(),
        }

    def _sized(self) -> dict[str, Any]:
        return {
            "type": "local",
            "resolution": self.resolution**2 / 1e6,
            "resolution_type": "area",  # in megapixels
            "crop": False,
        }

    def _is_masked(self, part: Part) -> bool:
        return bool(self.masks) and part.split == TRAIN

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

{self._place()}
"""

    def _place(self) -> str:
        wanted = (
            f"SimpleTuner finds captions by full paths, the `instance_data_dir`s in `{_BACKENDS}`"
        )
        if self.settings.place:
            return f"{wanted}: where this folder was moved or copied, write the new ones there."
        folders = ", ".join(f"`{self.folder_of(part)}`" for part in self.parts)
        return (
            f"{wanted}. They name {folders} alone, for this folder was not written to a disk: copy "
            "it to one, and put its path before each of them."
        )

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
        masks = {b["source_dataset_id"]: b for b in backends if b["dataset_type"] == "conditioning"}
        for backend in backends:
            if "parquet" in backend:
                yield from self._pairs(backend, masks)

    def _pairs(
        self, backend: Mapping[str, Any], masks: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[ReadPair]:
        """Yield the pairs of a backend, looked up by the existing images."""
        split = TRAIN if backend["dataset_type"] == "image" else VALIDATION
        split = REGULARIZATION if backend.get("is_regularisation_data") else split
        images = self._inside(backend["instance_data_dir"])
        names = backend["parquet"]
        table = pq.read_table(self.folder.path / names["path"])
        rows = {row[names["filename_column"]]: row for row in table.to_pylist()}
        for path in sorted(images.iterdir()):
            row = rows.get(path.name)
            if row is None:
                continue  # the trainer skips an image without a row
            told = row[names["caption_column"]]
            captions = (told.strip(),) if isinstance(told, str) else tuple(told)
            beside = masks.get(backend["id"], {}).get("instance_data_dir")
            mask = beside and Image.open(self._inside(beside) / path.name)
            with Image.open(path) as image:
                size = row[names["width_column"]], row[names["height_column"]]
                if size != image.size:
                    msg = f"{split}/{path.name} is {image.size}, not {size}, in pixels"
                    raise ValueError(msg)
                repeats = backend["repeats"] + 1
                yield ReadPair(split, path.stem, captions, image, mask, repeats)

    def _inside(self, folder: str) -> Path:
        """Return where a folder, named by its final location, is now."""
        return self.folder.path / Path(folder).relative_to(self.settings.place)


def _name(folder: str) -> str:
    """Return the name of a dataset, which its caches are also named after."""
    return folder.replace("/", "-")
