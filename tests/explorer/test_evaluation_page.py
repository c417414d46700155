"""The report of an evaluation, opened as a file in Chromium."""

from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import expect

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.testing import run_component
from tests.explorer.browsing import SIZES, opened_from_the_disk
from tests.explorer.serving import ROOT
from tests.made_evaluation import LABELS, NEW, drawn, evaluated_rows

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all that it may have but a training."""
    rows = evaluated_rows(16, 24)
    files = [None] * 38 + [[drawn(NEW, 5000 + n, 0) for n in range(6)]] * 2
    rows = rows.append_column("grid", pa.array(files, pa.list_(pa.binary())))
    metadata = {"grid": {"guidance_scale": [1.5, 4, 7.5], "num_inference_steps": [10, 50]}}
    made = run_component(
        ROOT / "components" / "evaluate_images",
        rows,
        tmp_path_factory.mktemp("page"),
        metadata=metadata,
        clip_model_id=str(CLIP_FOLDER),
        labels=LABELS,
        resamples=100,
    )
    return Path(made.manifest.artifacts[1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_an_evaluation_opens_from_the_disk(browser, page_file, size, scheme):
    """It asks nobody, shows all its pictures and figures, keeps nobody out, and is not too wide."""
    with opened_from_the_disk(browser, page_file, size, scheme) as page:
        expect(page.get_by_role("heading", level=1)).to_be_visible()
