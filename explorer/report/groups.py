"""Groups of similar images: their sizes, and the largest ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow.compute as pc

from explorer.rejects import reject_tables
from explorer.tables import Table, Tables
from fondant_spec.dataset.history import History

GROUP: Final = "group_id"
_DUPLICATE: Final = "duplicate_of"
_GROUPS: Final = 8
_MEMBERS: Final = 8


@dataclass(frozen=True)
class Member:
    """An image of a group: its dataset and row, and whether it was removed as a duplicate."""

    dataset: str
    row: str
    left_out: bool


@dataclass(frozen=True)
class Group:
    """A group: its number of images and some of them, those that were kept first."""

    name: str
    images: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Groups:
    """The groups of a dataset.

    Attributes:
        groups: The number of groups, including single images.
        left_out: The number of images removed as duplicates of one in the dataset.
        by_size: The number of groups by their number of images, including removed ones.
        largest: Some groups of two images or more.
    """

    groups: int
    left_out: int
    by_size: dict[int, int]
    largest: tuple[Group, ...]


def groups_of(tables: Tables, table: Table, history: History) -> Groups | None:
    """Return the groups of a dataset; None if it has none."""
    if table.written.get(GROUP) != "VARCHAR":
        return None
    stayed = {
        row["name"]: row["ids"]
        for row in tables.rows(
            f"SELECT {GROUP} AS name, list(id ORDER BY id) AS ids FROM {table.rows} "
            f"WHERE {GROUP} IS NOT NULL GROUP BY name"
        )
    }
    left_out = _left_out(table, history, stayed)
    sizes = {name: len(ids) + len(left_out.get(name, ())) for name, ids in stayed.items()}
    by_size: dict[int, int] = {}
    for size in sorted(sizes.values()):
        by_size[size] = by_size.get(size, 0) + 1
    largest = sorted(
        (name for name in sizes if sizes[name] > 1), key=lambda one: (-sizes[one], one)
    )
    return Groups(
        groups=len(stayed),
        left_out=sum(map(len, left_out.values())),
        by_size=by_size,
        largest=tuple(
            Group(name, sizes[name], _members(table, stayed[name], left_out.get(name, [])))
            for name in largest[:_GROUPS]
        ),
    )


def _left_out(
    table: Table, history: History, stayed: Mapping[str, list[str]]
) -> dict[str, list[Member]]:
    """Return the duplicates of each group's rows that an earlier step removed."""
    group_of = {row: name for name, ids in stayed.items() for row in ids}
    found: dict[str, list[Member]] = {}
    for one in history.steps:
        if _DUPLICATE not in one.rejects or one.root != table.manifest.root:
            continue
        source = one.inputs[0].location
        for rejects in reject_tables(one):
            for row in rejects.filter(pc.equal(rejects["reason"], _DUPLICATE)).to_pylist():
                kept = row["message"].partition(",")[0]
                if kept in group_of:
                    member = Member(source, row["id"], left_out=True)
                    found.setdefault(group_of[kept], []).append(member)
    return found


def _members(table: Table, stayed: list[str], left_out: list[Member]) -> tuple[Member, ...]:
    own = [Member(table.manifest.location, row, left_out=False) for row in stayed]
    return tuple([*own, *left_out][:_MEMBERS])
