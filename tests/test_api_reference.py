"""The API reference matches the docstrings."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_is_made_from_the_docstrings():
    """Making it again changes nothing; if it does, run scripts/api_reference.py."""
    command = [sys.executable, str(ROOT / "scripts" / "api_reference.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("docs/api.md is up to date\n", 0)


def test_it_names_what_authors_write_and_set():
    """Of a base class what is written, of a function its defaults, of an error when it comes."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for heading in (
        "### `PandasTransformComponent`",
        "#### `PandasTransformComponent.transform(frame, context)`",
        "#### `Pipeline.add(component, *, after=(), step_id=None, arguments={}, **options)`",
        "### `StepOptions`",
        "### `InputDataError`",
    ):
        assert f"{heading}\n" in page
