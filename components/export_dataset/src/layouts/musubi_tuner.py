"""`musubi-tuner`: `dataset.toml` that names a JSONL of `image_path` and `caption`.

The trainer takes all datasets of a configuration for training, so the validation split has none. A
dataset of a JSONL needs a cache folder of its own. It knows no images of the class: it learns from
them as from any, which is a prior loss of weight 1.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from hashed_folder import HashedFile, HashedFolder
from layout import ExportSettings, Layout, ReadPair
from PIL import Image
from training_pairs import REGULARIZATION, TRAIN, VALIDATION, Pair


class MusubiTunerLayout(Layout):
    """What musubi-tuner's scripts read with `--dataset_config dataset.toml`."""

    base_models = ("flux2",)

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self._files: dict[str, HashedFile] = {}

    def write(self, pair: Pair) -> None:
        """Write the image, and a line that names it."""
        if pair.split not in self._files:
            self._files[pair.split] = self.folder.create(f"{pair.split}.jsonl")
        path = f"{pair.split}/{pair.stem}{pair.suffix}"
        self.folder.write_shared(path, pair.image)
        (caption,) = self.captions[pair.split, pair.stem]
        line = json.dumps({"image_path": path, "caption": caption}, ensure_ascii=False)
        self._files[pair.split].write(f"{line}\n".encode())

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
        trained = [split for split in self.splits if split != VALIDATION]
        self.folder.write("dataset.toml", (content + "".join(map(_dataset, trained))).encode())

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
            yield from _listed(root, REGULARIZATION if of_class else TRAIN, name)
        if self.validates:
            yield from _listed(root, VALIDATION, f"{VALIDATION}.jsonl")


def _dataset(split: str) -> str:
    return f"""
[[datasets]]
image_jsonl_file = "{split}.jsonl"
cache_directory = "cache/{split}"
num_repeats = 1
"""


def _listed(root: Path, split: str, name: str) -> Iterator[ReadPair]:
    with (root / name).open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            path = root / entry["image_path"]
            with Image.open(path) as opened:
                yield ReadPair(split, path.stem, (entry["caption"],), opened)
