"""Writes `docs/pinned_versions.md`: the pins of `constraints.txt`, by their month of release.

    python scripts/pinned_versions.py

Asks the package index about each pin.
"""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import requests
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from fondant_spec.signing import signing

ROOT: Final = Path(__file__).parents[1]
INDEX: Final = "https://pypi.org/simple"
PAGE: Final = """\
# Pinned versions, by the month of their release

What `constraints.txt` installs, the oldest first, as of {today}: what to look at first where no
source of advisories can be reached. [security](security.md) says how to ask one.
`python scripts/pinned_versions.py` writes this page.

| released | |
|---|---|
{rows}
"""


def pins(text: str) -> dict[str, str]:
    """Return the versions in a constraints file, by package name."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))


def released(name: str, version: str) -> str:
    """Return the month in which a version was released: `2026-11`."""
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    url = f"{INDEX}/{canonicalize_name(name)}/"
    answer = requests.get(url, auth=signing({}), headers=headers, timeout=60)
    answer.raise_for_status()
    times = [
        file["upload-time"]
        for file in answer.json()["files"]
        if _version(file["filename"]) == version
    ]
    return str(min(times))[:7]


def _version(file: str) -> str | None:
    """Return the version in a file's name; None for obsolete file types."""
    try:
        parsed = parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return str(parsed[1])


def main() -> None:
    """Write the page."""
    pinned = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    with ThreadPoolExecutor(8) as pool:
        months = list(pool.map(released, pinned, pinned.values()))
    by_month = defaultdict(list)
    for month, (name, version) in zip(months, pinned.items(), strict=True):
        by_month[month].append(f"{name} {version}")
    rows = [f"| {month} | {', '.join(by_month[month])} |" for month in sorted(by_month)]
    now = datetime.now(UTC)
    page = PAGE.format(today=f"{now.day} {now:%B %Y}", rows="\n".join(rows))
    (ROOT / "docs" / "pinned_versions.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
