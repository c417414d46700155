"""Small exports, as the component writes them."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fondant_spec.testing import run_component
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1] / "components" / "export_dataset"


def export_in_layouts(
    folder: Path, layouts: Sequence[str], *, count: int = 5, own_folder: bool = False
) -> Path:
    """Export small pairs, and return where they lie: in a folder of the step, or in `out`."""
    table = pa.table(
        {
            "image": [photo(number) for number in range(count)],
            "caption": [f"photo {number}" for number in range(count)],
        }
    )
    target = None if own_folder else str(folder / "out")
    made = run_component(COMPONENT, table, folder, layouts=list(layouts), output_path=target)
    return Path(made.manifest.artifacts[0]).parent
