"""Paths that `datasets` takes literally.

`datasets` and fsspec interpret brackets, stars and question marks as patterns, `::` and `://` as
URLs, and `$` as variables, without any way to escape them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_MEANS_MORE: Final = re.compile(r"[*?\[]|\$[\w{]|::|://")


def what_means_more(path: str) -> str:
    """Return the part of a local path that `datasets` would not take literally."""
    found = _MEANS_MORE.search(path)
    return found[0] if found else ""


@contextmanager
def literal_path(folder: Path) -> Iterator[Path]:
    """Yield a path to a folder's files that `datasets` takes literally, using links if needed."""
    if not what_means_more(str(folder)):
        yield folder
        return
    with TemporaryDirectory() as temporary:
        for file in folder.rglob("*"):
            link = Path(temporary) / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            if file.is_file():
                link.symlink_to(file)
        yield Path(temporary)
