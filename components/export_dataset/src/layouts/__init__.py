"""The layouts of an export: one module each, registered in this table."""

from typing import Final

from layout import Layout

from layouts.ai_toolkit import AiToolkitLayout
from layouts.everydream2 import EveryDream2Layout
from layouts.imagefolder import ImageFolderLayout
from layouts.kohya import KohyaLayout
from layouts.musubi_tuner import MusubiTunerLayout
from layouts.onetrainer import OneTrainerLayout
from layouts.parquet import ParquetLayout
from layouts.simpletuner import SimpleTunerLayout
from layouts.webdataset import WebDatasetLayout

LAYOUTS: Final[dict[str, type[Layout]]] = {
    "imagefolder": ImageFolderLayout,
    "kohya": KohyaLayout,
    "musubi-tuner": MusubiTunerLayout,
    "simpletuner": SimpleTunerLayout,
    "ai-toolkit": AiToolkitLayout,
    "onetrainer": OneTrainerLayout,
    "everydream2": EveryDream2Layout,
    "webdataset": WebDatasetLayout,
    "parquet": ParquetLayout,
}
