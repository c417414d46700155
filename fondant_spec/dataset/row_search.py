"""Finding a row by its id, or by the name of its file or URL."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PARTITION_ENDING, partition_file
from fondant_spec.dataset.lineage import lineage
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import open_partition
from fondant_spec.dataset.reject_listing import rejects_that_name
from fondant_spec.errors import InvalidArgumentError

_MOST_NAMED: Final = 5


def told_row(manifest: Manifest, name: str) -> str:
    """Describe the row that a name refers to, and say which row that is.

    Args:
        manifest: the dataset that the row is in, or one derived from it.
        name: the row's id; the name of a file that is named by the id, as exports do; or a value
            that a field of this dataset or of an earlier one holds, or its last part: a URL, a
            path, a file name.

    Raises:
        InvalidArgumentError: there is no such row.
    """
    for row_id in dict.fromkeys([name, PurePosixPath(name).stem]):
        told = _told(manifest, row_id)
        if told:
            return told if row_id == name else f"{name}: named by the id {row_id}\n{told}"
    for dataset, field, ids in _named(manifest, name):
        told = _told(manifest, ids[0]) or _told(dataset, ids[0])
        if told:
            return f"{name}: {field} of {_in_words(ids)}\n{told}"
    msg = (
        f"{manifest.location}: there is no row {name!r}, and none whose file name, URL or other "
        "text it is; `fondant-spec show` lists some ids."
    )
    raise InvalidArgumentError(msg)


def _told(manifest: Manifest, row_id: str) -> str:
    try:
        return lineage(manifest, row_id)
    except InvalidArgumentError:
        return ""


def _in_words(ids: list[str]) -> str:
    if len(ids) == 1:
        return f"row {ids[0]}"
    more = f" and {len(ids) - _MOST_NAMED:,} more" if len(ids) > _MOST_NAMED else ""
    return f"{len(ids):,} rows, {', '.join(ids[:_MOST_NAMED])}{more}; the first is told"


def _named(manifest: Manifest, name: str) -> Iterator[tuple[Manifest, str, list[str]]]:
    """Yield which text fields of a dataset and its ancestors hold a name, and in which rows.

    Each field is read where it was written, so rows that a later step rejected are found, too. The
    rejects of a step that loads are also searched.
    """
    waiting, seen = [manifest], set()
    while waiting:
        dataset = waiting.pop(0)
        for field in dataset.fields.values():
            if pa.types.is_string(field.type) and (field.location, field.name) not in seen:
                seen.add((field.location, field.name))
                ids = [one for found in _holding(field.location, field.name, name) for one in found]
                if ids:
                    yield dataset, field.name, ids
        if not dataset.inputs and (ids := rejects_that_name(dataset, name)):
            yield dataset, "the reject", ids
        waiting += [Manifest.read(one.location) for one in dataset.inputs]


def _holding(location: str, field: str, name: str) -> Iterator[list[str]]:
    """Yield, per partition, the ids of rows whose field equals a name, or ends in `/name`."""
    for file in sorted(storage.sizes(location)):
        if file.endswith(PARTITION_ENDING) and not file.startswith("."):
            path = partition_file(location, file.removesuffix(PARTITION_ENDING))
            rows = open_partition(path, ["id", field]).read(columns=["id", field])
            values = rows[field]
            is_meant = pc.or_(pc.equal(values, name), pc.ends_with(values, f"/{name}"))
            yield rows["id"].filter(is_meant).to_pylist()
