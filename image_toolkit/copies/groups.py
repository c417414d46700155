"""From likeness to groups: what hangs together, and in it, which row stands for which others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from image_toolkit.copies.likeness import NO_KEY, IntArray, Likeness


@dataclass(frozen=True)
class Groups:
    """Rows in groups.

    Attributes:
        group: for each row, the first row of its group: those that hang together, be it by others
            in between.
        size: how many rows its group has.
        stands_for: the row that stays for it: itself, or one that it is like.
        by: the number of the likeness by which it is like that one; -1 where it stays itself.
    """

    group: IntArray
    size: IntArray
    stands_for: IntArray
    by: IntArray


def group_rows(likenesses: Sequence[Likeness], rows: int, best_first: IntArray) -> Groups:
    """Return the groups of so many rows: of those that are alike in any respect.

    `best_first` has the rows that may stay. The best row of a group stays, and takes the place of
    those that it is like itself, not of what those are like: of a chain A~B~C, whose ends are not
    alike, A stays, and C as well.
    """
    group = _connected(likenesses, rows)
    size = np.bincount(group, minlength=len(group))[group]
    stands_for = np.arange(len(group))
    by = np.full(len(group), -1)
    taken = size == 1
    for row in best_first[~taken[best_first]]:
        if not taken[row]:
            taken[row] = True
            for number, likeness in enumerate(likenesses):
                alike = likeness.like(row)
                alike = alike[~taken[alike]]
                stands_for[alike] = row
                by[alike] = number
                taken[alike] = True
    return Groups(group, size, stands_for, by)


def _connected(likenesses: Sequence[Likeness], rows: int) -> IntArray:
    """Return, for each row, the first one of those that it hangs together with."""
    nodes = rows
    ones, others = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for likeness in likenesses:
        known, column = np.nonzero(likeness.keys != NO_KEY)
        ones += [known, nodes + likeness.pairs[:, 0]]
        others += [nodes + likeness.keys[known, column], nodes + likeness.pairs[:, 1]]
        nodes += likeness.key_count
    edges = np.concatenate(ones), np.concatenate(others)
    links = coo_array((np.ones(len(edges[0]), np.bool_), edges), shape=(nodes, nodes))
    _, labels = connected_components(links, directed=False)
    _, first, inverse = np.unique(labels[:rows], return_index=True, return_inverse=True)
    group: IntArray = first[inverse]
    return group
