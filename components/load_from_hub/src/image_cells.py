"""Cells of a table to image bytes: whatever a dataset may hold where an image should be.

A cell is untrusted. A path in it leads to files of its own dataset only, never to others on this
machine, and never out to the network: fetching URLs safely is another component's work.
"""

import io
import posixpath
import re
from pathlib import Path
from typing import Any, Final

import fsspec
import numpy as np
import pyarrow as pa
from PIL import Image

MAX_BYTES: Final = 256 << 20
"""The most that is read of one image file."""

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_IN_ARCHIVE: Final = re.compile(r"zip://(?P<member>[^:]+)::(?P<archive>.+)")


class BadCellError(Exception):
    """A cell that holds no usable image; `reason` is a short code for the reject table.

    Reasons: `no_image`, `file_not_found`, `unreadable_file`, `file_too_large`, `url_not_a_file`,
    `path_outside_dataset`, `not_an_image`.
    """

    def __init__(self, *, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def holds_images(column: pa.DataType) -> bool:
    """Return whether a column of this type can hold images in a form that `image_bytes` reads."""
    if isinstance(column, pa.ExtensionType):
        return holds_images(column.storage_type)
    if pa.types.is_struct(column):
        return bool({"bytes", "path"} & {field.name for field in column})
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    binaries = (pa.types.is_binary, pa.types.is_large_binary)
    return holds_arrays(column) or any(check(column) for check in texts + binaries)


def holds_arrays(column: pa.DataType) -> bool:
    """Return whether a column of this type holds decoded pixels: nested lists of numbers."""
    if isinstance(column, pa.ExtensionType):
        return holds_arrays(column.storage_type)
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(column) for check in lists)


def image_bytes(cell: Any, root: str) -> bytes:
    """Return the encoded image that a cell holds or leads to.

    `cell` is bytes, a struct of `bytes` and `path`, the path of a file, or nested lists of pixel
    values (height, width[, channels]) from 0 to 255, which become a PNG. `root` is the folder or
    URL of the dataset, where relative paths begin and which no path may leave.

    Raises:
        BadCellError: the cell is null, leads nowhere, or elsewhere.
    """
    if isinstance(cell, dict):
        content = cell.get("bytes")
        cell = cell.get("path") if content is None else content
    if cell is None:
        raise BadCellError(reason="no_image", message="the cell is null")
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, str):
        return _read(_located(cell, root))
    return _png(cell)


def _located(path: str, root: str) -> str:
    """Return where a file of the dataset lies, given its path as a cell has it.

    The check is on the path as written, not on where links lead: links are put there by the owner
    of the folder (the hub's own cache is made of them), paths by whoever wrote the data.
    """
    archived = _IN_ARCHIVE.fullmatch(path)
    inner = archived["archive"] if archived else path
    url = _URL.match(inner)
    if url and not inner.startswith(root):
        message = f"{path!r} is a URL, not a file of the dataset; load it as a text field, and let "
        raise BadCellError(reason="url_not_a_file", message=message + "download_images fetch it")
    full = inner if url or inner.startswith("/") else f"{root}/{inner}"
    scheme = _URL.match(full)
    prefix = scheme.group() if scheme else ""
    normal = prefix + posixpath.normpath(full.removeprefix(prefix))
    if not re.match(re.escape(root.rstrip("/")) + "[/@]", normal) or "::" in normal:
        message = f"{path!r} leads out of the dataset at {root}"
        raise BadCellError(reason="path_outside_dataset", message=message)
    return f"zip://{archived['member']}::{normal}" if archived else normal


def _read(location: str) -> bytes:
    try:
        local = "://" not in location
        with Path(location).open("rb") if local else fsspec.open(location, "rb") as file:
            data: bytes = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        message = f"there is no file {location}"
        raise BadCellError(reason="file_not_found", message=message) from None
    except (OSError, ValueError) as error:
        raise BadCellError(reason="unreadable_file", message=f"{location}: {error}") from None
    if len(data) > MAX_BYTES:
        message = f"{location} has more than {MAX_BYTES} bytes"
        raise BadCellError(reason="file_too_large", message=message)
    return data


def _png(cell: Any) -> bytes:
    try:
        pixels = np.asarray(cell)
    except ValueError:
        pixels = np.empty(0)
    gray = pixels.ndim == 2  # noqa: PLR2004 - height and width
    if not pixels.size or not (gray or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))):  # noqa: PLR2004
        message = f"an array of shape {pixels.shape} is not (height, width[, 1, 3 or 4 channels])"
        raise BadCellError(reason="not_an_image", message=message)
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:  # noqa: PLR2004
        message = f"the array holds {pixels.dtype} values; pixels are whole numbers from 0 to 255"
        raise BadCellError(reason="not_an_image", message=message)
    shaped = pixels if gray or pixels.shape[2] > 1 else pixels[:, :, 0]
    buffer = io.BytesIO()
    Image.fromarray(shaped.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
