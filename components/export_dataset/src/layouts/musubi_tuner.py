"""`musubi-tuner`: `dataset.toml` that names a JSONL of `image_path` and `caption`.

The trainer takes all datasets of a configuration for training, so the validation split has none. A
dataset of a JSONL needs a cache folder of its own. It knows no images of the class: it learns from
them as from any, which is a prior loss of weight 1. What is repeated is a dataset.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from layout import ExportSettings, Layout
from PIL import Image
from read_pairs import ReadPair
from repeats import Part
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFile, HashedFolder
from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION


class MusubiTunerLayout(Layout):
    """What musubi-tuner's scripts read with `--dataset_config dataset.toml`."""

    divides = True

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._files: dict[Part, HashedFile] = {}

    def write(self, pair: Pair) -> None:
        """Write the image, and a line that names it."""
        if pair.part not in self._files:
            listing = f"{self.folder_of(pair.part)}.jsonl"
            self._files[pair.part] = self.folder.create(listing)
        path = self.place_of(pair) + pair.suffix
        self.folder.write_shared(path, pair.image)
        (caption,) = self.captions[pair.split, pair.stem]
        line = json.dumps({"image_path": path, "caption": caption}, ensure_ascii=False)
        self._files[pair.part].write(f"{line}\n".encode())

    def close(self) -> None:
        """Write the configuration of the splits to train on."""
        for file in self._files.values():
            file.close()
        content = f"""\
# Paths, here and in the JSONL, are taken from where musubi-tuner is started: start it here.
[general]
resolution = [{self.resolution}, {self.resolution}]
batch_size = 1
enable_bucket = true
bucket_no_upscale = true
"""
        trained = [part for part in self.parts if part.split != VALIDATION]
        content += "".join(_dataset(self.folder_of(part), part.repeats) for part in trained)
        self.folder.write("dataset.toml", content.encode())

    def usage(self) -> str:
        """Return the three commands of a training."""
        scripts = '"$MUSUBI_TUNER"/src/musubi_tuner/flux_2'
        text = '--text_encoder "$MODELS"/text_encoder/00001-of-00010.safetensors'
        vae, dataset = '--vae "$MODELS"/ae.safetensors', "--dataset_config dataset.toml"
        return f"""\
A LoRA for {self.model.name} with musubi-tuner, which has neither SD 1.5, SDXL nor FLUX.1 dev; its
scripts for other models read the same folder. `$MUSUBI_TUNER` is its checkout, and `$MODELS` the
folder with the model's files. Latents and texts are cached first:

    {self.enter}
    python {scripts}_cache_latents.py {dataset} {vae} --model_version dev
    python {scripts}_cache_text_encoder_outputs.py {dataset} {text} --model_version dev
    accelerate launch --num_cpu_threads_per_process 1 {scripts}_train_network.py {dataset} \\
      --model_version dev --dit "$MODELS"/flux2-dev.safetensors {vae} \\
      {text} --sdpa --mixed_precision bf16 \\
      --timestep_sampling flux2_shift --weighting_scheme none --optimizer_type adamw8bit \\
      --learning_rate 1e-4 --gradient_checkpointing --network_module networks.lora_flux_2 \\
      --network_dim 32 --max_train_epochs 16 --save_every_n_epochs 1 --seed 42 \\
      --output_dir output --output_name lora
"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs: of training, from `dataset.toml`; of validation, which it leaves out."""
        root = self.folder.path
        config = tomllib.loads((root / "dataset.toml").read_text(encoding="utf-8"))
        for dataset in config["datasets"]:
            if not dataset["cache_directory"]:
                msg = "a dataset has no cache_directory"
                raise ValueError(msg)
            name = dataset["image_jsonl_file"]
            of_class = name == f"{REGULARIZATION}.jsonl"
            split = REGULARIZATION if of_class else TRAIN
            yield from _listed(root, Part(split, dataset["num_repeats"]), name)
        if self.validates:
            yield from _listed(root, Part(VALIDATION, 1), f"{VALIDATION}.jsonl")


def _dataset(folder: str, repeats: int) -> str:
    return f"""
[[datasets]]
image_jsonl_file = "{folder}.jsonl"
cache_directory = "cache/{folder}"
num_repeats = {repeats}
"""


def _listed(root: Path, part: Part, name: str) -> Iterator[ReadPair]:
    with (root / name).open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            path = root / entry["image_path"]
            with Image.open(path) as opened:
                captions = (entry["caption"],)
                yield ReadPair(part.split, path.stem, captions, opened, repeats=part.repeats)
