"""The security page: each attack in its table has an existing test."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_attack_has_a_test():
    """Each row of the table names at least one test, and each test is there under its name."""
    table = PAGE.partition("## Attacks, bounds and tests")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "**" not in line][1:]
    assert len(rows) > 35
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)
