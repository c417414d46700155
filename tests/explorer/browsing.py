"""Helpers shared by the browser tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

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


@contextmanager
def opened_from_the_disk(browser: Browser, file: Path, size: str, scheme: str) -> Iterator[Page]:
    """Open a report; it asks nobody, shows all its pictures, keeps none out, and is not too wide.

    The last two are looked at in the end, when the caller has done with it.
    """
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
    pictures = page.locator("img").all()
    assert pictures
    for picture in pictures:
        expect(picture).not_to_have_js_property("naturalWidth", 0)
    yield page
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert faults == []
    context.close()
