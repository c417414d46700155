"""The components' READMEs match their specs."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from image_toolkit.images.image_errors import Reason

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "component_readmes.py"


def test_readmes_are_made_from_the_specs():
    """Making them again changes nothing; if it does, run scripts/component_readmes.py."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("all component READMEs are up to date\n", 0)


@pytest.mark.parametrize(
    "component",
    [
        "components/caption_images",
        "components/download_images",
        "components/export_dataset",
        "components/image_embedding",
        "components/load_from_hub",
        "examples/fit_images",
    ],
)
def test_readmes_name_all_reasons_why_an_image_is_none(component):
    """A person who meets one in the rejects finds it there."""
    text = (ROOT / component / "README.md").read_text(encoding="utf-8")
    assert [reason for reason in get_args(Reason) if f"`{reason}`" not in text] == []
