"""Small exports, as the component writes them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from fondant_spec.testing import run_component

COMPONENT = Path(__file__).parents[1] / "components" / "export_dataset"


def export_in_layouts(
    folder: Path, layouts: Sequence[str], *, count: int = 5, own_folder: bool = False
) -> Path:
    """Export small pairs, and return where they lie: in a folder of the step, or in `out`."""
    table = pa.table(
        {
            "image": [_photo(number) for number in range(count)],
            "caption": [f"photo {number}" for number in range(count)],
        }
    )
    target = None if own_folder else str(folder / "out")
    made = run_component(COMPONENT, table, folder, layouts=list(layouts), output_path=target)
    return Path(made.manifest.artifacts[0]).parent


def _photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((40, 30)).save(buffer, "JPEG")
    return buffer.getvalue()
