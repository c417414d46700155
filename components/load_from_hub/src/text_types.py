"""Arrow's text types: plain ones, large ones, and the views of newer writers."""

import pyarrow as pa


def is_text(type_: pa.DataType) -> bool:
    """Return whether values of a type are texts."""
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )
