"""Make one index of several folders: list them, after checking that they belong together."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.build.staging import UNFINISHED
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.joined_index import PARTS, join_indexes, write_parts


def join_parts(folder: Path, modality: str) -> Iterator[str]:
    """List all folders in `folder` as the parts of one index, by name; yield lines to report it.

    Raises:
        InputDataError: there are none, or one is missing, unfinished, not an index, or does not
            match.
    """
    parts = sorted(path for path in folder.glob("[!.]*") if path.is_dir())
    if not parts:
        msg = f"{folder}: has no folders to search as one."
        raise InputDataError(msg)
    for part in parts:
        if part.suffix == UNFINISHED:
            msg = f"{part}: this part is not finished. Give the command that builds it once more."
            raise InputDataError(msg)
    _check_that_all_are_there(folder, parts, modality)
    opened = [IndexFolder(part, modality=modality).open() for part in parts]
    joined = join_indexes(opened, str(folder))
    write_parts(folder, parts)
    for part, index in zip(parts, opened, strict=True):
        yield f"  {part.name}: {index.info.rows} rows"
    yield f"{folder / PARTS}: {len(parts)} parts, {joined.info.rows} rows, searched as one"


def _check_that_all_are_there(folder: Path, parts: Sequence[Path], modality: str) -> None:
    """Refuse an incomplete set of the parts of one source, as made by `index build --part`."""
    found: set[int] = set()
    wanted: set[int] = set()
    for part in parts:
        about = part / f"{modality}.json"
        if about.is_file() and (which := json.loads(about.read_bytes()).get("part")):
            number, _, count = which.partition("/")
            found.add(int(number))
            wanted.update(range(1, int(count) + 1))
    if missing := sorted(wanted - found):
        msg = f"{folder}: of {len(wanted)} parts, {', '.join(map(str, missing))} are not here."
        raise InputDataError(msg)
