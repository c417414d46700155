"""Make one index of several folders: list them, once it is sure that they belong together."""

from collections.abc import Iterator
from pathlib import Path

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.build.staging import UNFINISHED
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.joined_index import PARTS, join_indexes, write_parts


def join_parts(folder: Path, modality: str) -> Iterator[str]:
    """List all folders in `folder` as the parts of one index, by name; yield lines that say so.

    Raises:
        InputDataError: there are none, one is not finished or is no index, or they do not fit.
    """
    parts = sorted(path for path in folder.glob("[!.]*") if path.is_dir())
    if not parts:
        msg = f"{folder}: has no folders to search as one."
        raise InputDataError(msg)
    for part in parts:
        if part.suffix == UNFINISHED:
            msg = f"{part}: this part is not finished. Give the command that builds it once more."
            raise InputDataError(msg)
    opened = [IndexFolder(part, modality=modality).open() for part in parts]
    joined = join_indexes(opened, str(folder))
    write_parts(folder, parts)
    for part, index in zip(parts, opened, strict=True):
        yield f"  {part.name}: {index.info.rows} rows"
    yield f"{folder / PARTS}: {len(parts)} parts, {joined.info.rows} rows, searched as one"
