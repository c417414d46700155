"""The seed images: two crops per subject, as a dataset repository in the Hugging Face hub's layout.

`datasets.load_dataset(folder)` reads it like any other repository, also when streaming.
"""

import io
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from demo import crops
from demo.collection import ROOT, recipe_digest, write_marker
from demo.photos import PHOTOS, SUBJECTS

FOLDER = "seeds"
PER_SUBJECT = 2
LONG_SIDE, QUALITY = 480, 92
SEED = 11
RECIPE = ("crops.py", "photos.py", "seeds.py")
FEATURES = {
    "image": {"_type": "Image"},
    "subject": {"dtype": "string", "_type": "Value"},
}
SCHEMA = pa.schema(
    {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "subject": pa.string()},
    metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
)
CARD = """---
license: other
pretty_name: Seed images of the offline demo
size_categories: [n<1K]
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
dataset_info:
  features:
  - name: image
    dtype: image
  - name: subject
    dtype: string
---
# Seed images of the offline demo

{count} crops, {per_subject} of each of {subjects} photographs. The demo's collection and the tiny
models' training set hold other crops of the same photographs, never these.

| subject | photograph |
|---|---|
{credits}
"""


def make_seeds(root: Path = ROOT, *, seed: int = SEED) -> Path:
    """Write the seeds into `root`/seeds unless they are there; return that folder."""
    folder = root / FOLDER
    marker = folder / "seeds.json"
    config = {"seed": seed, "recipe": recipe_digest(RECIPE)}
    if marker.is_file() and json.loads(marker.read_text())["config"] == config:
        return folder
    (folder / "data").mkdir(parents=True, exist_ok=True)
    marker.unlink(missing_ok=True)
    rows = [
        {"image": {"bytes": _jpeg(subject, turn, seed), "path": f"{subject}-{turn}.jpg"},
         "subject": subject}
        for subject in SUBJECTS
        for turn in range(PER_SUBJECT)
    ]  # fmt: skip
    pq.write_table(
        pa.Table.from_pylist(rows, SCHEMA), folder / "data" / "train-00000-of-00001.parquet"
    )
    lines = [f"| {photo.subject} | {photo.credit} |" for photo in PHOTOS]
    card = CARD.format(
        count=len(rows), per_subject=PER_SUBJECT, subjects=len(SUBJECTS), credits="\n".join(lines)
    )
    (folder / "README.md").write_text(card)
    digest = sha256(b"".join(row["image"]["bytes"] for row in rows))  # type: ignore[index]
    write_marker(marker, config, digest.hexdigest())
    return folder


def _jpeg(subject: str, turn: int, seed: int) -> bytes:
    rng = np.random.default_rng((seed, SUBJECTS.index(subject), turn))
    image = crops.render(crops.draw(rng, subject, "seeds", "plain"), LONG_SIDE, rng)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
