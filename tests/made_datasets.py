"""Datasets made by hypothesis for the loader, and what it makes of them."""

import io
import json
import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st
from PIL import Image

from fondant_spec.testing import run_component
from tests.fuzzing import fuzz

LOADER = Path(__file__).parents[1] / "components" / "load_from_hub"
fuzzed = fuzz(15)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["None", "NA", "null", "0.10", "True", "\u200b", " x ", "a\r\nb", '"', "1e5"]
)


def picture(number):
    """Return a small PNG, another one for each number."""
    file = io.BytesIO()
    Image.new("RGB", (3, 2), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def workplace():
    """Yield an empty folder, and the list of what is logged."""
    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder), logged
    finally:
        logging.getLogger().removeHandler(handler)


def load(dataset, work, fields, **arguments):
    """Run the component; return its rows and the messages of its rejects."""
    result = run_component(
        LOADER,
        None,
        work,
        options={"produces": json.dumps(fields), "max_reject_share": "1", "cache": "false"},
        dataset_name=str(dataset),
        **arguments,
    )
    rows = result.table.to_pylist() if len(result.table) else []
    return rows, result.rejects["message"].to_pylist()
