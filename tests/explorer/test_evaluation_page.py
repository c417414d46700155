"""The report of an evaluation in Chromium, opened as a file."""

from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import expect

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.testing import run_component
from tests.explorer.browsing import SIZES, faults_of
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
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        bypass_csp=True,  # for axe, which is put into the page
    )
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda one: None if one.url.startswith(("file:", "data:")) else faults.append(one.url),
    )
    page.goto(page_file.as_uri())
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    pictures = page.locator("img").all()
    assert pictures
    for picture in pictures:
        expect(picture).not_to_have_js_property("naturalWidth", 0)
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert faults == []
    context.close()
