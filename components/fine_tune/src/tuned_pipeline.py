"""Writing a whole pipeline with a trained UNet: all other files are those of the base."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from base_model import EPSILON, BaseModel

from image_toolkit.diffusion.pipeline_files import INDEX, LEFT_OUT, loaded_files, read_index

_UNET: Final = "unet"
_SCHEDULE: Final = Path("scheduler/scheduler_config.json")


def write_pipeline(base: BaseModel, unet: Any, folder: Path) -> list[str]:
    """Write a pipeline, and return the names of the files, relative to the folder."""
    index = read_index(base.files.folder)
    left_out = {name: [None, None] for name in LEFT_OUT if name in index}
    unfiltered = {"requires_safety_checker": False} if "safety_checker" in index else {}
    _write(folder / INDEX, index | left_out | unfiltered)
    for source in loaded_files(base.files.folder):
        name = source.relative_to(base.files.folder)
        if name.parts[0] not in (INDEX, _UNET):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    schedule = json.loads((folder / _SCHEDULE).read_text(encoding="utf-8"))
    if schedule.get("prediction_type", EPSILON) != base.prediction_type:
        _write(folder / _SCHEDULE, schedule | {"prediction_type": base.prediction_type})
    unet.save_pretrained(folder / _UNET, safe_serialization=True)
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
