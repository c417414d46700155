"""The example that scales images down, run through its command line."""

import io
from pathlib import Path

import pyarrow as pa
from PIL import Image

from fondant_spec.testing import run_component

COMPONENT = Path(__file__).parents[1]


def jpeg(width: int, height: int) -> bytes:
    """Return an image of a size."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(file, "JPEG")
    return file.getvalue()


def test_sizes(tmp_path):
    """Shorter sides are scaled down, never up; images that are too small, or none, are told."""
    table = pa.table({"image": [jpeg(400, 200), jpeg(90, 300), jpeg(40, 300), b"GIF8", None]})
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        image_size=100,
        min_size=50,
        options={"max_reject_share": "1"},
    )
    sizes = result.table.select(["image_width", "image_height"]).to_pylist()
    assert [tuple(row.values()) for row in sizes] == [(200, 100), (90, 300)]
    decoded = [Image.open(io.BytesIO(data)).size for data in result.table["image"].to_pylist()]
    assert decoded == [(200, 100), (90, 300)]
    rejects = {row["reason"]: row["filtered"] for row in result.rejects.to_pylist()}
    assert rejects == {"too_small": True, "not_an_image": False, "empty": False}


def test_sizes_stay_where_none_is_given(tmp_path):
    """Without a size nothing is scaled."""
    result = run_component(COMPONENT, pa.table({"image": [jpeg(400, 200)]}), tmp_path, min_size=200)
    assert result.table["image_width"].to_pylist() == [400]
