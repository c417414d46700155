"""Memory is bounded by the batch, not by the data: 500 images of 1 MB through whole steps."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fondant_spec.dataset.manifest import Manifest

COMPONENTS = Path(__file__).parents[2] / "components"
IMAGES = 500
IMAGE_BYTES = 1_000_000
ROWS_IN_GROUP = 100  # what the hub's Parquet files of images have
LIMIT_MB = 750
"""Both steps take 500 to 610, with 150 images as with 500; one that kept all, over 1,000."""

# VmHWM, because the peak in `getrusage` includes that of the process it was forked from.
MEASURED = """
import atexit, re, runpy, sys
from pathlib import Path

def tell():
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

atexit.register(tell)
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with `rows.parquet`: half a gigabyte of images. It is removed at the end."""
    path = tmp_path_factory.mktemp("memory")
    schema = pa.schema([("image", pa.binary()), ("caption", pa.string())])
    photo = _photo()
    with pq.ParquetWriter(
        path / "rows.parquet", schema, use_dictionary=False, compression="none"
    ) as writer:
        for start in range(0, IMAGES, ROWS_IN_GROUP):
            numbers = range(start, start + ROWS_IN_GROUP)
            images = [photo + number.to_bytes(4, "big") for number in numbers]
            captions = [f"photo {number}" for number in numbers]
            writer.write_table(pa.table([images, captions], schema=schema))
    yield path
    shutil.rmtree(path)


def _photo() -> bytes:
    """Return a JPEG of about 1 MB."""
    pixels = np.random.default_rng(0).integers(0, 255, (600, 620, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=98, subsampling=0)
    assert 0.8 < len(buffer.getvalue()) / IMAGE_BYTES < 1.3
    return buffer.getvalue()


def run(folder: Path, component: str, *words: str) -> tuple[Manifest, int]:
    """Run a component as a program; return what it committed, and its peak memory in MB."""
    told = folder / f"{component}.manifest"
    argv = [sys.executable, "-c", MEASURED, str(COMPONENTS / component / "src" / "main.py"), *words]
    argv += ["--base_path", str(folder / "base"), "--output_manifest_path", str(told)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return Manifest.read(told.read_text()), int(done.stdout.split()[-1]) // 1024


def test_loading_and_exporting_takes_less_memory_than_the_data(folder):
    """Peak resident memory stays below the limit in both steps, which keep every image.

    Their imports alone take some 200 MB, so the images can only pass through.
    """
    words = ["--dataset_name", str(folder / "rows.parquet"), "--produces", '{"caption": "string"}']
    loaded, peak = run(folder, "load_from_hub", *words)
    assert loaded.rows == IMAGES
    assert peak < LIMIT_MB, f"load_from_hub took {peak} MB"

    exported, peak = run(folder, "export_dataset", "--input_manifest_path", loaded.location)
    images = Path(exported.artifacts[0]).parent / "train"
    assert sum(1 for _ in images.glob("*.jpg")) == IMAGES
    assert peak < LIMIT_MB, f"export_dataset took {peak} MB"
