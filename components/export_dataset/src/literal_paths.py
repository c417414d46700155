"""Folders under a path that `datasets` reads as it is written.

`datasets` and fsspec see patterns in brackets, stars and question marks, URLs in `::` and `://`,
and variables behind `$`. They know no way to escape these.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_MEANS_MORE: Final = re.compile(r"[*?\[]|\$[\w{]|::|://")


def what_means_more(path: str) -> str:
    """Return the part of a local path that `datasets` would take for more than characters."""
    found = _MEANS_MORE.search(path)
    return found[0] if found else ""


@contextmanager
def literal_path(folder: Path) -> Iterator[Path]:
    """Yield a path of a folder's files that `datasets` takes literally: links, where need be."""
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
