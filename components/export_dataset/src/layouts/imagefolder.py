"""`imagefolder`: `train/metadata.jsonl` with `file_name` and `text`, images flat beside it.

Where types have to be told it is `metadata.parquet`. `datasets` loads it, and with `datasets` the
training scripts of `diffusers`.
"""

import json
import tempfile
from collections.abc import Iterator
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.json as paj
import pyarrow.parquet as pq
from columns import TEXT, columns_of
from datasets_layout import DatasetsLayout
from layout import ExportSettings
from literal_paths import literal_path
from read_pairs import ReadPair
from readme_features import told_files
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFile, HashedFolder
from image_toolkit.training.splits import REGULARIZATION

_FULL = "train_text_to_image{suffix}.py --train_data_dir train"
_LORA = "train_dreambooth_lora_flux.py --dataset_name ."
_MASK_NAME = "mask_file_name"  # by which `datasets` has an image in the column `mask`
_SCRIPTS = {
    "sd15": f"text_to_image/{_FULL.format(suffix='')} --use_ema --learning_rate 1e-5",
    "sdxl": f"text_to_image/{_FULL.format(suffix='_lora_sdxl')} --rank 16 --learning_rate 1e-4",
    "flux": f"dreambooth/{_LORA} --instance_prompt photo --rank 16 --learning_rate 1e-4",
}


class ImageFolderLayout(DatasetsLayout):
    """What `load_dataset("imagefolder")` reads."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self.columns = columns_of(self)
        self._files: dict[str, HashedFile] = {}

    def write(self, pair: Pair) -> None:
        """Write the image, and a line of metadata."""
        name = pair.stem + pair.suffix
        if pair.split not in self._files:
            self._files[pair.split] = self.folder.create(f"{pair.split}/metadata.jsonl")
        self.folder.write_shared(f"{pair.split}/{name}", pair.image)
        line = {"file_name": name, **self.columns.row(pair, self.tokens)}
        if self.mask(pair):
            line[_MASK_NAME] = f"masks/{pair.stem}.png"
            self.write_mask(pair, f"{pair.split}/{line[_MASK_NAME]}")
        text = json.dumps(line, ensure_ascii=False) + "\n"
        self._files[pair.split].write(text.encode())

    def close(self) -> None:
        """Close the metadata, and see to it that it is read as it is meant."""
        for file in self._files.values():
            file.close()
        schemas = [self._schema_read(split) for split in self._files]
        if any(schema != schemas[0] or self._is_misread(schema) for schema in schemas):
            for split in self._files:
                self._tell_types(split)

    def _schema_read(self, split: str) -> pa.Schema:
        """Return the types that readers give to the metadata of a split."""
        return paj.read_json(self.folder.path / split / "metadata.jsonl").schema

    def _is_misread(self, schema: pa.Schema) -> bool:
        """Return whether readers take a text for a point in time."""
        return any(
            pa.types.is_string(meant) and name in schema.names and not _is_text(schema.field(name))
            for name, meant in self.columns.types.items()
        )

    def _tell_types(self, split: str) -> None:
        """Have the metadata of a split in a table, which says what type a column has.

        Of JSON `datasets` takes the types from the values: it loads nothing where a field has some
        in one split but none in the other, and takes texts for dates that are spelled like them.
        """
        lines = self.folder.take(f"{split}/metadata.jsonl").splitlines()
        columns = {"file_name": pa.string(), **self.columns.types}
        if any(masked == split for masked, _ in self.masks):
            columns[_MASK_NAME] = pa.string()
        file = self.folder.create(f"{split}/metadata.parquet")
        pq.write_table(pa.Table.from_pylist(list(map(json.loads, lines)), pa.schema(columns)), file)
        file.close()

    def usage(self) -> str:
        """Return how to load the folder, and how `diffusers` trains from it."""
        return f"""\
```python
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir={self.shown_place!r})
```

The scripts of a `diffusers` checkout, here for {self.model.name}, take the training split alone:
given this folder, they would train on the validation images, too.

    {self.enter}
    accelerate launch "$DIFFUSERS"/examples/{_SCRIPTS[self.model.key]} \\
      --pretrained_model_name_or_path {self.model.hub_id} --caption_column {TEXT} \\
      --resolution {self.resolution} --center_crop --random_flip --train_batch_size 1 \\
      --gradient_accumulation_steps 4 --gradient_checkpointing --mixed_precision bf16 \\
      --max_train_steps 15000 --output_dir output

The metadata has each image's `width` and `height`, so SimpleTuner's Parquet backend reads it.
OneTrainer, ai-toolkit, EveryDream2 and musubi-tuner look for captions in files beside the images:
here they would train without captions, and not say so. There is a layout for each of them.
"""

    def front_matter(self, config: str) -> dict[str, Any]:
        """Return where the splits are."""
        return told_files(config, {split: f"{split}/**" for split in self.splits})

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, as `datasets` loads the folder."""
        with tempfile.TemporaryDirectory() as cache, literal_path(self.folder.path) as path:
            splits = datasets.load_dataset("imagefolder", data_dir=str(path), cache_dir=cache)
            if self.regularizes:  # a split of which the README alone knows
                told = datasets.load_dataset(str(path), cache_dir=cache)
                splits[REGULARIZATION] = told[REGULARIZATION]
            for split, dataset in splits.items():
                yield from self.rows_read(str(split), dataset)


def _is_text(field: pa.Field) -> bool:
    return bool(pa.types.is_string(field.type) or pa.types.is_null(field.type))
