"""Converting table cells to image bytes, whatever form of an image a dataset holds."""

import base64
import binascii
import io
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
from PIL import Image
from text_types import is_text

_DATA_URL: Final = re.compile(
    r"data:(?:[^,]{0,200}(?P<base64>;base64)|image/[a-z0-9.+-]{1,100}(?:;[^,]{0,100})?),",
    re.IGNORECASE,
)
_ENCODED: Final = re.compile(r"(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR|AAAA)[A-Za-z0-9+/\s]{60,}={0,2}\s*")
"""The first characters of image formats in base64, with a length that no file name has."""

_SIDES: Final = 2


class BadCellError(Exception):
    """A cell without a usable image; `reason` is a short code for the reject table.

    Reasons: `no_image`, `file_not_found`, `unreadable_file`, `file_too_large`, `url_not_a_file`,
    `path_outside_dataset`, `link_outside_dataset`, `not_an_image`.
    """

    def __init__(self, *, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def holds_images(column: pa.DataType) -> bool:
    """Return whether a column of this type can hold images in a form that `image_bytes` reads."""
    column = _plain(column)
    if pa.types.is_struct(column):
        return bool({"bytes", "path"} & {field.name for field in column})
    single = (is_text, pa.types.is_null, *_BINARIES)
    return holds_arrays(column) or any(check(column) for check in single)


def holds_arrays(column: pa.DataType) -> bool:
    """Return whether a column of this type holds decoded pixels: nested lists of numbers."""
    column = _plain(column)
    depth = 0
    while any(check(column) for check in _LISTS):
        column, depth = column.value_type, depth + 1
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return depth >= _SIDES and any(check(column) for check in numbers)


def image_bytes(cell: Any, open_file: Callable[[str], bytes]) -> bytes:
    """Return the encoded image that a cell holds or refers to.

    `cell` is bytes, a struct of `bytes` and `path`, the path of a file, the image in base64 or in a
    `data:` URL, or nested lists of pixel values (height, width[, channels]) from 0 to 255, which
    become a PNG. `open_file` returns the content of a path.

    Raises:
        BadCellError: the cell is null, or what it refers to does not exist or is not allowed.
    """
    if isinstance(cell, dict):
        content = cell.get("bytes")
        cell = cell.get("path") if content is None else content
    if cell is None:
        raise BadCellError(reason="no_image", message="the cell is null")
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, str):
        return _from_text(cell) or _from_file(cell, open_file)
    return _png(cell)


def path_of(cell: Any) -> str | None:
    """Return the path in a cell; None for an image without one."""
    path = cell.get("path") if isinstance(cell, dict) else cell
    is_path = isinstance(path, str) and not (_DATA_URL.match(path) or _ENCODED.fullmatch(path))
    return path if is_path else None


_BINARIES: Final = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)
_LISTS: Final = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def _plain(column: pa.DataType) -> pa.DataType:
    if isinstance(column, pa.ExtensionType):
        return column.storage_type
    return column.value_type if pa.types.is_dictionary(column) else column


def _from_text(text: str) -> bytes | None:
    """Decode a `data:` URL or base64; return None for a text that is neither."""
    url = _DATA_URL.match(text)
    if url is None and not _ENCODED.fullmatch(text):
        return None
    content = text[url.end() if url else 0 :]
    if url and not url["base64"]:
        return unquote_to_bytes(content)
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except binascii.Error as error:
        raise BadCellError(reason="not_an_image", message=f"broken base64: {error}") from None


def _from_file(path: str, open_file: Callable[[str], bytes]) -> bytes:
    try:
        return open_file(path)
    except (FileNotFoundError, NotADirectoryError):
        message = f"there is no file {path}"
        if "\\" in path:
            message += "; write / between folders"
        raise BadCellError(reason="file_not_found", message=message) from None
    except (OSError, ValueError) as error:
        raise BadCellError(reason="unreadable_file", message=f"{path}: {error}") from None


def _png(cell: Any) -> bytes:
    try:
        pixels = np.asarray(cell)
        if pixels.dtype.kind == "U":  # numbers spelled as in a text file
            pixels = pixels.astype(np.int64)
    except (ValueError, OverflowError):
        pixels = np.empty(0)
    gray = pixels.ndim == _SIDES
    coloured = pixels.ndim == _SIDES + 1 and pixels.shape[2] in (1, 3, 4)
    if not pixels.size or not (gray or coloured):
        message = f"an array of shape {pixels.shape} is not (height, width[, 1, 3 or 4 channels])"
        raise BadCellError(reason="not_an_image", message=message)
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:  # noqa: PLR2004
        message = f"the array holds {pixels.dtype} values; pixels are whole numbers from 0 to 255"
        raise BadCellError(reason="not_an_image", message=message)
    shaped = pixels if gray or pixels.shape[2] > 1 else pixels[:, :, 0]
    buffer = io.BytesIO()
    Image.fromarray(shaped.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
