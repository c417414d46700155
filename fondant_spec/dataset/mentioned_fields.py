"""The fields that a step's arguments speak of: `width >= 512` needs the width."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from fondant_spec.dataset.manifest import Field
from fondant_spec.spec.argument_texts import texts_in
from fondant_spec.spec.component_spec import ComponentSpec

_SCALARS: Final = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_temporal,
    pa.types.is_decimal,
)


def is_scalar(data_type: pa.DataType) -> bool:
    """Return whether a field holds one small value a row: a number, a text, a time, a truth."""
    return any(is_of(data_type) for is_of in _SCALARS)


def mentioned_fields(
    spec: ComponentSpec, arguments: Mapping[str, Any], available: Mapping[str, Field]
) -> dict[str, str]:
    """Return, as a step's `consumes` has them, the scalar fields that its arguments mention.

    Those are the fields whose names stand as words in an argument that `names_fields`. One that is
    mentioned without being meant (in a quoted text, say) is read for nothing; images and vectors
    are never, so nothing that is large.
    """
    named = (value for name, value in arguments.items() if spec.arguments[name].names_fields)
    texts = [text for value in named for text in texts_in(value)]
    return {
        name: name
        for name, field in available.items()
        if name not in spec.consumes and is_scalar(field.type) and _stands_in(name, texts)
    }


def _stands_in(name: str, texts: list[str]) -> bool:
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    return any(word.search(text) for text in texts)
