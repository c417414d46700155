"""Which fields an export needs, and which it cannot take as metadata."""

from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow as pa
from credit_table import LICENCE
from masks import MASK
from pair_texts import CAPTION, MORE_CAPTIONS, TAGS
from training_pairs import SOURCE_NAME

from fondant_spec.dataset.manifest import Field
from fondant_spec.errors import InputDataError

NAME: Final = "file_name"
_NEEDED_BY: Final = {NAME: ("name_files_by", "image_url"), LICENCE: ("licenses", "LICENSE")}
"""For each field, the argument that needs it and a name it may have in a dataset."""
_RESERVED: Final = ("file_names", "text", "label", SOURCE_NAME)


def check_fields(fields: Mapping[str, Field], needed: Iterable[str]) -> None:
    """Check that all fields are there that are needed, a caption too, and that none is in the way.

    Raises:
        InputDataError: naming the first that is not there, or cannot go into the metadata.
    """
    for name in needed:
        if name not in fields:
            argument, example = _NEEDED_BY[name]
            msg = (
                f"export_dataset: the rows have no field {name!r}, which {argument} goes by; "
                f"say which it is, as in consumes={{{name!r}: {example!r}}}."
            )
            raise InputDataError(msg)
    if not {CAPTION, MORE_CAPTIONS, TAGS} & {*fields}:
        msg = (
            f"export_dataset: the rows have no field {CAPTION!r}; say which it is, as in "
            f"consumes={{{CAPTION!r}: 'text'}}, or {{{MORE_CAPTIONS!r}: ...}} for a list."
        )
        raise InputDataError(msg)
    for name, field in fields.items():
        if problem := _problem(name, field.type):
            msg = f"export_dataset: field {name!r} {problem}."
            raise InputDataError(msg)


def _problem(name: str, data_type: pa.DataType) -> str | None:
    """Return why a field cannot go into the metadata; None if it can."""
    if name in _RESERVED or name.endswith((f"_{NAME}", f"_{NAME}s")):
        return "has a meaning of its own to the readers; give it another name"
    is_binary = pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type)
    if is_binary and name not in ("image", MASK):
        return "is binary, which metadata cannot hold; leave it out"
    return None
