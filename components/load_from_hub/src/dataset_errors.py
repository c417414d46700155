"""Errors of a dataset, as one-line messages that say what to do."""

import logging
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import datasets
import pyarrow as pa
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fondant_spec.errors import InputDataError
from image_toolkit.hub_errors import HTTP_ERROR

_LONGEST_PROBLEM: Final = 500

_FAILURES: Final = (
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    ImportError,
    StopIteration,
    EOFError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    pa.ArrowException,
    datasets.exceptions.DatasetsError,
    HTTP_ERROR,
)
"""What `datasets` and its dependencies raise for datasets that are missing or broken."""

for _package in ("httpx", "httpx2"):  # one line per request would flood the log of the step
    logging.getLogger(_package).setLevel(logging.WARNING)


def columns_told(columns: Collection[str], marked: Collection[str] = ()) -> str:
    """List the existing columns, for the end of an error; `marked` ones hold images.

    If there is only one, and its name looks like several, the delimiter is probably another.
    """
    words = [f"{name} (images)" if name in marked else name for name in columns]
    told = f"Columns: {', '.join(words) or 'none'}."
    sign = next((s for s in ";\t|" if len(columns) == 1 and s in next(iter(columns))), None)
    if sign:
        told += f" Cells are parted by {sign!r}, it seems; save the table with ','."
    return told


@contextmanager
def explained(name: str, missing: str = "") -> Iterator[None]:
    """Turn any error of a dataset into one line that says what to do.

    `missing` is put first if there may be no such dataset at all.

    Raises:
        InputDataError: instead of what the libraries raised.
    """
    try:
        yield
    except (InputDataError, GeneratorExit):
        raise
    except GatedRepoError:
        msg = f"{name}: the dataset is gated; accept its terms on the hub, and set HF_TOKEN."
        raise InputDataError(msg) from None
    except RevisionNotFoundError:
        msg = f"{name}: the dataset has no such revision; give a branch, tag or commit of it."
        raise InputDataError(msg) from None
    except RepositoryNotFoundError:
        msg = (
            f"{name}: {missing}no such dataset on the hub, or a private one; check the id, or set "
            "HF_TOKEN."
        )
        raise InputDataError(msg) from None
    except _FAILURES as error:
        problem = " ".join(str(error).partition("Example of usage")[0].split())
        msg = (
            f"{name}: {missing}cannot be read: {problem[:_LONGEST_PROBLEM] or type(error).__name__}"
        )
        raise InputDataError(msg) from error
