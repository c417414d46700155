"""The files of an index: their reading order, and which vectors belong to which metadata.

clip-retrieval, and the readers it builds on, sort files by name, character by character: `_10`
comes before `_2`. A FAISS index was built in that order, so its metadata is read in that order. A
vector file and a metadata file with the same number belong together, however the number is padded.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from fondant_spec.errors import InputDataError


def is_apple_double(file: Path) -> bool:
    """Return whether a file is one of those that macOS creates on foreign file systems."""
    return file.name.startswith("._")


def files_by_name(folder: Path, pattern: str) -> list[Path]:
    """Return the files in `folder` that match, in clip-retrieval's reading order."""
    return sorted(
        path for path in folder.glob(pattern) if path.is_file() and not is_apple_double(path)
    )


def is_in_order(files: Sequence[Path]) -> bool:
    """Return whether the files are also in the order of the numbers in their names."""
    numbers = [_numbers(file) for file in files]
    return numbers == sorted(numbers)


def by_number(files: Sequence[Path]) -> list[Path]:
    """Return the files in the order of the numbers in their names."""
    return sorted(files, key=_numbers)


def pair_up(files: Sequence[Path], others: Sequence[Path]) -> list[Path]:
    """Return `others` in the order of the `files` that they belong to.

    Files with the same number belong together; otherwise, if sorting by name and by number agree,
    they are paired in order.

    Raises:
        InputDataError: the names do not determine the pairs.
    """
    keys: tuple[Callable[[Path], object], ...] = (_numbers, _last_number)
    for key in keys:
        of_key = {key(file): file for file in others}
        wanted = [key(file) for file in files]
        if len(set(wanted)) == len(of_key) == len(files) == len(others) and set(wanted) == {
            *of_key
        }:
            return [of_key[number] for number in wanted]
    for group in (files, others):
        if not is_in_order(group):
            msg = (
                f"{group[0].parent}: sorted by name, {_out_of_order(group)}, and the files of "
                f"{files[0].parent} and {others[0].parent} do not go by the same numbers, so it is "
                f"not clear which belong together. Write the ones anew, a file for each of the "
                f"others, of the same rows and with the same number."
            )
            raise InputDataError(msg)
    return list(others)


def _out_of_order(files: Sequence[Path]) -> str:
    """Name the first two files whose names sort differently from their numbers."""
    before, after = next((a, b) for a, b in pairwise(files) if _numbers(a) > _numbers(b))
    return f"{before.name} comes before {after.name}"


def _numbers(file: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", file.name)))


def _last_number(file: Path) -> int | None:
    numbers = _numbers(file)
    return numbers[-1] if numbers else None
