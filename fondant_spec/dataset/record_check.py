"""What may be wrong with records that were read from JSON: manifests and checkpoints."""

import re
from collections.abc import Iterable
from typing import Any, Final, Protocol

from fondant_spec.spec.attribute_types import wrong_attribute

_PARTITION_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class _Partition(Protocol):
    @property
    def name(self) -> str:
        """Also that of its file."""


def find_problem(record: Any, partitions: Iterable[_Partition]) -> str | None:
    """Return what is wrong with what was read from JSON, as the end of a sentence; or None.

    That is a value of another type than its attribute has, or a partition's name that leads
    elsewhere.
    """
    problem = next(filter(None, map(wrong_attribute, (record, *partitions))), None)
    for partition in partitions if problem is None else ():
        if not _PARTITION_NAME.fullmatch(partition.name):
            return f"a partition is called {partition.name!r}, which is no name of a file"
    return problem
