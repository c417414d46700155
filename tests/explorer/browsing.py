"""What tests that look at pages share."""

import os
from pathlib import Path

from playwright.sync_api import Page

SIZES = {"desktop": (1280, 800), "phone": (390, 800)}
"""Width and height of the windows, in pixels."""


def faults_of(page: Page) -> list[tuple[str, str]]:
    """Return what axe finds that keeps people out, each with an element that has it."""
    page.evaluate(Path(os.environ["AXE_CORE"]).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (one["id"], one["nodes"][0]["html"])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
