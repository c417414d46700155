"""`imagefolder`: `train/metadata.jsonl` with `file_name` and `text`, images flat beside it.

Where types have to be told it is `metadata.parquet`. `datasets` loads it, and with `datasets` the
training scripts of `diffusers`.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from hashed_folder import HashedFile, HashedFolder
from layout import CAPTION_COLUMN, ExportSettings, Layout, ReadPair
from literal_paths import literal_path
from training_pairs import Pair

_FULL = "train_text_to_image{suffix}.py --train_data_dir train"
_LORA = "train_dreambooth_lora_flux.py --dataset_name ."
_SCRIPTS = {
    "sd15": f"text_to_image/{_FULL.format(suffix='')} --use_ema --learning_rate 1e-5",
    "sdxl": f"text_to_image/{_FULL.format(suffix='_lora_sdxl')} --rank 16 --learning_rate 1e-4",
    "flux": f"dreambooth/{_LORA} --instance_prompt photo --rank 16 --learning_rate 1e-4",
}


class ImageFolderLayout(Layout):
    """What `load_dataset("imagefolder")` reads."""

    read_by_datasets = True

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._files: dict[str, HashedFile] = {}
        self._told: defaultdict[str, set[str]] = defaultdict(set)

    def write(self, pair: Pair) -> None:
        """Write the image, and a line of metadata."""
        name = pair.stem + pair.suffix
        if pair.split not in self._files:
            self._files[pair.split] = self.folder.create(f"{pair.split}/metadata.jsonl")
        self.folder.write_shared(f"{pair.split}/{name}", pair.image)
        line = {"file_name": name, CAPTION_COLUMN: pair.caption, **pair.metadata}
        self._told[pair.split] |= {key for key, value in line.items() if value not in (None, [])}
        text = json.dumps(line, ensure_ascii=False) + "\n"
        self._files[pair.split].write(text.encode())

    def close(self) -> None:
        """Close the metadata, and see to it that it has the same types in all splits."""
        for file in self._files.values():
            file.close()
        if len(set(map(frozenset, self._told.values()))) > 1:
            for split in self._files:
                self._tell_types(split)

    def _tell_types(self, split: str) -> None:
        """Have the metadata of a split in a table, which says what type a column has.

        Of JSON `datasets` takes the types from the values, and loads nothing where a field has some
        in one split but none in the other.
        """
        lines = self.folder.take(f"{split}/metadata.jsonl").splitlines()
        columns = {"file_name": pa.string(), CAPTION_COLUMN: pa.string(), **self.settings.metadata}
        file = self.folder.create(f"{split}/metadata.parquet")
        pq.write_table(pa.Table.from_pylist(list(map(json.loads, lines)), pa.schema(columns)), file)
        file.close()

    def usage(self) -> str:
        """Return how to load the folder, and how `diffusers` trains from it."""
        return f"""\
```python
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir={self.settings.place or "path/to/this/folder"!r})
```

The scripts of a `diffusers` checkout, here for {self.model.name}, take the training split alone:
given this folder, they would train on the validation images, too.

    {self.enter}
    accelerate launch "$DIFFUSERS"/examples/{_SCRIPTS[self.model.key]} \\
      --pretrained_model_name_or_path {self.model.hub_id} --caption_column {CAPTION_COLUMN} \\
      --resolution {self.resolution} --center_crop --random_flip --train_batch_size 1 \\
      --gradient_accumulation_steps 4 --gradient_checkpointing --mixed_precision bf16 \\
      --max_train_steps 15000 --output_dir output

The metadata has each image's `width` and `height`, so SimpleTuner's Parquet backend reads it.
OneTrainer, ai-toolkit, EveryDream2 and musubi-tuner look for captions in files beside the images:
here they would train without captions, and not say so. There is a layout for each of them.
"""

    def front_matter(self, config: str) -> dict[str, Any]:
        """Return where the splits are."""
        files = [{"split": split, "path": f"{split}/**"} for split in sorted(self.counts)]
        return {"configs": [{"config_name": config, "data_files": files}]}

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, as `datasets` loads the folder."""
        with tempfile.TemporaryDirectory() as cache, literal_path(self.folder.path) as path:
            splits = datasets.load_dataset("imagefolder", data_dir=str(path), cache_dir=cache)
            for split, dataset in splits.items():
                rows = dataset.cast_column("image", datasets.Image(decode=False))
                for row in rows.select_columns(["image", CAPTION_COLUMN]):
                    stem = Path(row["image"]["path"]).stem
                    decoded = datasets.Image().decode_example(row["image"])
                    yield ReadPair(str(split), stem, row[CAPTION_COLUMN], decoded)
