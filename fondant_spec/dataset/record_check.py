"""Validation of records read from JSON: manifests and checkpoints."""

import re
from collections.abc import Iterable
from typing import Any, Final, Protocol

from fondant_spec.spec.attribute_types import wrong_attribute

_PARTITION_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class _Partition(Protocol):
    @property
    def name(self) -> str:
        """The partition's name, which is also its file name."""


def find_problem(record: Any, partitions: Iterable[_Partition]) -> str | None:
    """Return the first problem with a record read from JSON, as the end of a sentence; or None.

    Problems are a value of another type than its attribute, or a partition name that escapes its
    folder.
    """
    problem = next(filter(None, map(wrong_attribute, (record, *partitions))), None)
    for partition in partitions if problem is None else ():
        if not _PARTITION_NAME.fullmatch(partition.name):
            return f"a partition is called {partition.name!r}, which is no name of a file"
    return problem
