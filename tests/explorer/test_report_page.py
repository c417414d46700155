"""A report in Chromium, opened as a file."""

import pytest
from playwright.sync_api import expect

from fondant_spec.cli import main
from fondant_spec.testing import write_dataset
from tests.explorer.browsing import SIZES, faults_of
from tests.explorer.reported import known_rows

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_a_report_opens_from_the_disk(browser, tmp_path, size, scheme):
    """It asks nobody, shows all its pictures and figures, keeps nobody out, and is not too wide."""
    file = tmp_path / "report.html"
    dataset = write_dataset(known_rows(), tmp_path)
    assert main(["report", dataset.location, "--into", str(file)]) == 0
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
    page.goto(file.as_uri())
    expect(page.get_by_role("heading", name="given")).to_be_visible()
    pictures = page.locator("img").all()
    assert pictures
    for picture in pictures:
        expect(picture).not_to_have_js_property("naturalWidth", 0)
    for figure in page.locator("svg").all():
        assert figure.bounding_box()["height"] > 0
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert faults == []
    context.close()
