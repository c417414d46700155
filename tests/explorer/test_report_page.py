"""A report, opened as a file in Chromium."""

import pytest
from playwright.sync_api import expect

from fondant_spec.cli import main
from fondant_spec.testing import write_dataset
from tests.explorer.browsing import SIZES, opened_from_the_disk
from tests.explorer.reported import known_rows

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_a_report_opens_from_the_disk(browser, tmp_path, size, scheme):
    """It asks nobody, shows all its pictures and figures, keeps nobody out, and is not too wide."""
    file = tmp_path / "report.html"
    dataset = write_dataset(known_rows(), tmp_path)
    assert main(["report", dataset.location, "--into", str(file)]) == 0
    with opened_from_the_disk(browser, file, size, scheme) as page:
        expect(page.get_by_role("heading", name="given")).to_be_visible()
        for figure in page.locator("svg").all():
            assert figure.bounding_box()["height"] > 0
