"""The README of a trained model, with front matter for the Hugging Face hub."""

import re
from typing import Any, Final

import yaml
from base_model import BaseModel
from lora_files import KOHYA
from training_record import TrainingRecord
from tuning_settings import LORA

from image_toolkit.diffusion.lora import LORA_FILE
from image_toolkit.training.training_folder import TRAINING

_ON_HUB: Final = re.compile(r"[\w.-]+/[\w.-]+")
_USE_LORA: Final = """\
```python
from diffusers import AutoPipelineForText2Image

pipeline = AutoPipelineForText2Image.from_pretrained({base!r})
pipeline.load_lora_weights("THIS FOLDER", weight_name={file!r})
image = pipeline("a prompt").images[0]
```

`{file}` is in the layout of diffusers. `{kohya}` is the same in that of kohya's sd-scripts, which
ComfyUI, AUTOMATIC1111 and their kin load: put it into their folder of LoRAs.
"""
_USE_FULL: Final = """\
```python
from diffusers import AutoPipelineForText2Image

pipeline = AutoPipelineForText2Image.from_pretrained("THIS FOLDER")
image = pipeline("a prompt").images[0]
```

It has no filter of what it draws ("safety checker"): see that of the base model.
"""

_MORE: Final = f"""\
`{TRAINING}` has all arguments and both curves, `logs/` the same for TensorBoard. The licence is
that of the base model, which nobody looked up, and of the images."""


def model_card(record: TrainingRecord) -> str:
    """Return the README of a model, in Markdown: figures and names, no captions."""
    lora = record.arguments["method"] == LORA
    use = _USE_LORA.format(base=record.model_id, file=LORA_FILE, kohya=KOHYA) if lora else _USE_FULL
    kind = "A LoRA" if lora else "A full fine-tuning"
    lines = [
        "---",
        yaml.safe_dump(_head(record), sort_keys=False).strip(),
        "---",
        "# Text to image, fine-tuned",
        "",
        f"{kind} of `{record.model_id}`{_commit(record.base)}, by a Fondant pipeline.",
        "",
        use,
        *_figures(record),
        "",
        _MORE,
    ]
    return "\n".join(lines) + "\n"


def _head(record: TrainingRecord) -> dict[str, Any]:
    family = "stable-diffusion-xl" if record.base.is_xl else "stable-diffusion"
    tags = [family, f"{family}-diffusers", "text-to-image", "diffusers", "diffusers-training"]
    head: dict[str, Any] = {"license": "unknown", "library_name": "diffusers"}
    if _ON_HUB.fullmatch(record.model_id):
        head["base_model"] = record.model_id
    if record.arguments["method"] == LORA:
        tags.append("lora")
    return head | {"pipeline_tag": "text-to-image", "tags": tags}


def _commit(base: BaseModel) -> str:
    return f" at `{base.commit}`" if base.commit else ""


def _figures(record: TrainingRecord) -> list[str]:
    told, curve = record.to_json(), record.curve
    rows = {
        "images to train on": f"{told['rows']['train']:,}",
        "images to validate with": f"{told['rows']['validation']:,}",
        "images smaller than they were trained at": f"{told['enlarged_images']:,}",
        "captions longer than the model takes": f"{told['cut_captions']:,}",
        "steps": f"{record.steps:,}",
        "epochs": f"{record.epochs:,}",
        "mean loss of the last tenth": f"{curve.mean(max(1, record.steps // 10)):.4f}",
    }
    if curve.best is not None:
        first, last = curve.held_out[0], curve.held_out[-1]
        risen = curve.overfit_epoch
        rows |= {
            "validation loss before": f"{first.loss:.4f}",
            "validation loss after": f"{last.loss:.4f}",
            "least validation loss": f"{curve.best.loss:.4f}, after step {curve.best.step:,}",
            "validation loss rises": f"from epoch {risen} on" if risen is not None else "no",
        }
    rows |= {
        "images a second": f"{record.pace.images_per_second:.1f}",
        "device": record.device,
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
