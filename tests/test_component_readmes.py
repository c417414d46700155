"""The components' READMEs say what their specs say."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "component_readmes.py"


def test_readmes_are_made_from_the_specs():
    """Making them again changes nothing; if it does, run scripts/component_readmes.py."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("all component READMEs are up to date\n", 0)
