"""`kohya`: each image with a `.txt` of the same stem, and `dataset.toml`; for kohya's sd-scripts.

Of `[[datasets]]` with `validation_split = 1.0` the trainer takes all images for validation. Images
lie in `1_images`, repeats and name, as the trainer without the file and its graphical interface
want it. It turns no image, whatever the file says.
"""

import tomllib
from collections.abc import Iterator

from layout import Layout, ReadPair, image_files, one_line
from PIL import Image
from training_pairs import TRAIN, VALIDATION, Pair

_IMAGES = "1_images"
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
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
    """What kohya's sd-scripts read with `--dataset_config dataset.toml`."""

    def caption(self, pair: Pair) -> str:
        """Return the caption as one line: of a file with several, the trainer takes the first."""
        return one_line(pair.caption)

    def write(self, pair: Pair) -> None:
        """Write the image, and the caption beside it."""
        path = f"{pair.split}/{_IMAGES}/{pair.stem}"
        self.folder.write_shared(f"{path}{pair.suffix}", pair.image)
        self.folder.write(f"{path}.txt", self.caption(pair).encode())

    def close(self) -> None:
        """Write the configuration of both splits."""
        splits = [split for split in (TRAIN, VALIDATION) if self.counts[split]]
        content = _HEAD + "".join(map(self._dataset, splits))
        self.folder.write("dataset.toml", content.encode())

    def _dataset(self, split: str) -> str:
        whole = "validation_split = 1.0\n" if split == VALIDATION else ""
        return f"""
[[datasets]]
resolution = {self.resolution}
max_bucket_reso = {2 * self.resolution}
batch_size = 1
{whole}
[[datasets.subsets]]
image_dir = "{split}/{_IMAGES}"
num_repeats = 1
"""

    def usage(self) -> str:
        """Return the command that trains a LoRA."""
        script, options = _SCRIPTS[self.model.key]
        model, models = self.model.hub_id, ""
        if self.model.key == "flux":
            model = '"$MODELS"/flux1-dev.safetensors'
            models = " and `$MODELS` the folder with the model's files"
        return f"""\
A LoRA for {self.model.name} with sd-scripts; `$SD_SCRIPTS` is its checkout{models}:

    {self.enter}
    accelerate launch "$SD_SCRIPTS"/{script} --dataset_config dataset.toml \\
      --pretrained_model_name_or_path {model} \\
      {options} \\
      --learning_rate 1e-4 --optimizer_type AdamW8bit --lr_scheduler constant --sdpa \\
      --mixed_precision bf16 --gradient_checkpointing --cache_latents \\
      --max_train_epochs 10 --save_every_n_epochs 1 --save_model_as safetensors \\
      --output_dir output --output_name lora

In the graphical interface, kohya_ss, the image folder is `train`.
"""

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, by the rules of the trainer, from `dataset.toml`."""
        root = self.folder.path
        config = tomllib.loads((root / "dataset.toml").read_text(encoding="utf-8"))
        suffix = config["general"]["caption_extension"]
        for dataset in config["datasets"]:
            split = VALIDATION if dataset.get("validation_split") == 1.0 else TRAIN
            for subset in dataset["subsets"]:
                for image in image_files(root / subset["image_dir"], _SUFFIXES):
                    lines = image.with_suffix(suffix).read_text(encoding="utf-8").split("\n")
                    with Image.open(image) as opened:
                        yield ReadPair(split, image.stem, lines[0].strip(), opened)
