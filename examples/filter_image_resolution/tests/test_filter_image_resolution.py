"""The example filter, run through its command line."""

from pathlib import Path

import pyarrow as pa
from PIL import Image

from fondant_spec.dataset.partitions import read_batches
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners import LocalRunner
from fondant_spec.spec.component_spec import SPEC_FILE
from fondant_spec.testing import run_component

COMPONENT = Path(__file__).parents[1]
COMPONENTS = Path(__file__).parents[3] / "components"


def test_small_and_long_images_are_filtered_with_a_reason(tmp_path):
    """Rows within both bounds stay; the others are told, but do not count as failures."""
    sizes = [(512, 512), (511, 900), (1280, 512), (1281, 512), (600, 1500), (600, 1501)]
    table = pa.table(
        {
            "image_width": pa.array([width for width, _ in sizes], pa.int32()),
            "image_height": pa.array([height for _, height in sizes], pa.int32()),
        },
    )
    result = run_component(COMPONENT, table, tmp_path)
    assert result.table["id"].to_pylist() == [f"{n:012d}" for n in (0, 2, 4)]
    assert result.rejects.select(["reason", "message", "filtered"]).to_pylist() == [
        {"reason": "too_small", "message": "shorter side 511", "filtered": True},
        {"reason": "too_long", "message": "1281 by 512", "filtered": True},
        {"reason": "too_long", "message": "1501 by 600", "filtered": True},
    ]
    assert result.manifest.failed == 0
    assert sorted(result.manifest.fields) == ["image_height", "image_width"]


def test_a_row_without_a_size_is_filtered(tmp_path):
    """A null width does not pass for a large one."""
    table = pa.table(
        {
            "image_width": pa.array([None, 600], pa.int32()),
            "image_height": pa.array([600, 600], pa.int32()),
        },
    )
    result = run_component(COMPONENT, table, tmp_path)
    assert result.table["id"].to_pylist() == ["000000000001"]
    assert result.rejects["reason"].to_pylist() == ["too_small"]


def test_an_empty_dataset_passes(tmp_path):
    """No rows in, no rows out."""
    table = pa.table(
        {"image_width": pa.array([], pa.int32()), "image_height": pa.array([], pa.int32())}
    )
    result = run_component(COMPONENT, table, tmp_path)
    assert result.table.num_rows == len(result.rejects) == 0


def test_a_pipeline_takes_it_by_the_path_of_its_spec(tmp_path):
    """Between two steps of the house, it leaves later ones the images of the rows it keeps."""
    (tmp_path / "photos").mkdir()
    for number, size in enumerate([(64, 64), (20, 20), (64, 48)]):
        Image.new("RGB", size).save(tmp_path / "photos" / f"{number}.png")
    pipeline = Pipeline("photos", tmp_path / "base")
    seeds = pipeline.add(
        COMPONENTS / "load_from_hub", arguments={"dataset_name": str(tmp_path / "photos")}
    )
    pipeline.add(COMPONENT / SPEC_FILE, after=seeds, arguments={"min_side": 48})
    *_, filtered = LocalRunner().run(pipeline.plan(), say=lambda _: None)
    manifest = filtered.manifest
    assert (manifest.rows_in, manifest.rows, dict(manifest.rejects)) == (3, 2, {"too_small": 1})
    image = {"image": manifest.fields["image"]}
    name = manifest.partitions[0].name
    batches = list(read_batches(image, manifest.index_location, name))
    kept = [data for batch in batches for data in batch.column("image").to_pylist()]
    assert kept == [(tmp_path / "photos" / f"{number}.png").read_bytes() for number in (0, 2)]
